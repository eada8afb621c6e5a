"""The fixed texts of the page, as HTML."""

ICON = (
    '<svg viewBox="0 0 48 48" aria-hidden="true">'
    '<rect x="3" y="3" width="42" height="42" rx="7" fill="var(--kf-accent)"/>'
    '<rect x="8" y="8" width="32" height="26" rx="3" fill="var(--kf-card)"/>'
    '<circle cx="24" cy="18" r="5.5" fill="var(--kf-accent)"/>'
    '<path d="M13 34c0-7 5-10 11-10s11 3 11 10z" fill="var(--kf-accent)"/></svg>'
)
HEAD = (
    f'<header class="kf-head">{ICON}<div><h1>keepface</h1>'
    "<p>Old photos made clear again, and everybody still looks like themselves. All of it stays on this computer.</p>"
    "</div></header>"
)
META = '<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">'
DROPPING = {"upload_text.drop_file": "Drop photos here", "upload_text.click_to_upload": "Choose from this device"}

NEW_HEAD = (
    "<h2>Add somebody</h2><p class='kf-soft'>Give three to five good photos of one person. keepface looks at each and "
    "says whether it can be used. Everything stays on this computer.</p>"
)
NOBODY = (
    "<div class='kf-empty'><p><b>Nobody is here yet.</b></p><p>Add the people of your old photos, each with a few good "
    "pictures. Then their faces are restored to look like them, not like somebody else.</p></div>"
)
CONSENT = "Who agreed that these photos are used, and when. The dead can't be asked: note who speaks for them."
LEARN = (
    "<p class='kf-soft'>Takes the best photos of this person and learns them once, for the method PFStorer. "
    "This can take long. It goes on while you use the other pages.</p>"
)

NO_RESULT = (
    "<div class='kf-empty'><svg viewBox='0 0 64 64' aria-hidden='true' fill='none' stroke='var(--kf-accent)' "
    "stroke-width='2.5'><rect x='6' y='10' width='52' height='44' rx='5'/>"
    "<rect x='11' y='15' width='42' height='34' rx='2'/><circle cx='32' cy='27' r='6.5'/>"
    "<path d='M18 49c1-8 7-12 14-12s13 4 14 12'/></svg><p><b>Your photo will appear here,</b> before and after, with "
    "every face: whose it is, what was done, and how sure keepface is.</p></div>"
)
GONE = "This result is no longer kept. Restore the photo again."
LEGEND = (
    "<p class='kf-key'><span><i class='kf-from-photo'></i>grey: in your photo</span>"
    "<span><i class='kf-from-references'></i>blue: from the person's other photos</span>"
    "<span><i class='kf-invented'></i>orange: invented, another try would draw it otherwise</span></p>"
)
VERSIONS = (
    "<h3>Choose a version</h3><p class='kf-soft'>The first fits best. Press another one to put it into the picture.</p>"
)

NO_ALBUM = (
    "<div class='kf-empty'><p><b>A whole album at once.</b></p><p>Every face that is known is restored by its own "
    "person's photos; strangers stay as they are. You may close this page meanwhile and come back.</p></div>"
)
