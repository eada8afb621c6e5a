"""What the page says, as plain words in HTML; whatever came from outside is escaped."""

import re
from collections.abc import Sequence
from html import escape

from keepface.engine.evidence import Shares
from keepface.engine.ranking import Candidate
from keepface.engine.reason_words import NEARLY, sentence
from keepface.engine.references import LeftOut
from keepface.engine.result import Counts, FaceResult, Restoration
from keepface.people.doctor import SHARP, Diagnosis, PhotoFinding
from keepface.people.intake import Intake
from keepface.people.person import Person
from keepface.people.store import Forgotten
from keepface.web.album import Row

Tone = str  # good, warn, bad or calm: the colour of a remark
# How likely it is that a face is whom it is taken for, in words; the first line that fits.
CHANCES = ((0.95, "almost certainly"), (0.8, "very likely"), (0.5, "probably"), (0.2, "perhaps"), (0.0, "hardly"))
HERE = (  # hints for the command line, and what to do on the page instead
    (re.compile(r"; if it is not, add it with --sure"), "; if it is, tick “They do show this person” and add it again"),
    (re.compile(r"or say with --sure that they are"), "or tick “They do show this person”"),
    (re.compile(r": keepface person add \S+( PHOTO\.\.\.)?( makes one)?"), ": add photos on the page People"),
    (re.compile(r",? ?or raise the limit with --max-pixels.*?\)"), ""),
    (re.compile(r" or, in Python,[^;]*|; or in Python[^;]*"), ""),
)
OPEN_CARD = "border-color: var(--kf-accent) !important; background: var(--kf-accent-wash) !important;"
NAMED = re.compile(r"[^:;]*\.\w{2,5}(:| was )")  # begins with the name of a file, which is left as it is
NO_FACE = "No face was found in this photo. It stays as it was."
ASK = "if it is them, the command line restores it on your word: --only {number}"
WHY = {  # reasons of which the page speaks otherwise than the command line
    "no_face": NO_FACE,
    "not_this_person": "Another face is more like the reference photos, so this one stays as it was",
    "unknown": "Not recognised, so the face stays as it was",
}


def plain(text: str) -> str:
    """Return a message of keepface for a reader who has the page and no command line; not escaped."""
    for pattern, instead in HERE:
        text = pattern.sub(instead, text)
    text = text.strip()
    return text if NAMED.match(text) else text[:1].upper() + text[1:]


def remark(text: str, tone: Tone = "calm") -> str:
    """Return a remark in a coloured box; problems are read out at once by a screen reader."""
    role = "alert" if tone == "bad" else "status"
    return f'<p class="kf-remark kf-{tone}" role="{role}">{escape(plain(text))}</p>'


def bar(label: str, done: int, total: int) -> str:
    """Return how far a job is; a total of 0 is not known yet."""
    share = f"{100 * done / total:.0f}" if total else ""
    value = f'aria-valuenow="{share}"' if share else ""
    style = f'style="width:{share}%"' if share else 'class="kf-unknown"'
    return (
        f'<div class="kf-progress"><p role="status">{escape(label)}</p><div class="kf-track" role="progressbar" '
        f'aria-label="{escape(label)}" aria-valuemin="0" aria-valuemax="100" {value}><span {style}></span></div></div>'
    )


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: 1 photo, 2 photos."""
    return f"{number} {one if number == 1 else many or one + 's'}"


# ---- people ----


def person_card(person: Person, portrait: str | None) -> str:
    """Return a person in the list: face, name, relation, how many photos."""
    picture = (
        f'<img src="{portrait}" alt="">' if portrait else f'<span class="kf-letter">{escape(person.name[:1])}</span>'
    )
    more = " · ".join(filter(None, [person.notes.relation, counted(len(person.photos), "photo")]))
    return (
        f'<div class="kf-person">{picture}<span><strong>{escape(person.name)}</strong>'
        f"<small>{escape(more)}</small></span></div>"
    )


def person_head(person: Person) -> str:
    """Return the headline of a person's own page, with what was noted."""
    notes = person.notes
    told = [
        notes.relation,
        f"born {notes.birth_year}" if notes.birth_year else None,
        counted(len(person.photos), "photo"),
        f"consent noted {notes.consent_noted}: {notes.consent}" if notes.consent else "no consent noted",
    ]
    open_card = f"<style>#kf-card-{escape(person.key)} {{ {OPEN_CARD} }}</style>"
    facts = escape(" · ".join(filter(None, told)))
    return f"{open_card}<h2>{escape(person.name)}</h2><p class='kf-soft'>{facts}</p>"


def diagnosis(found: Diagnosis, portraits: Sequence[tuple[str, str]]) -> str:
    """Return the doctor's findings; `portraits` are the names and addresses of the photos."""
    wrong = sum(bool(photo.problems) for photo in found.photos)
    good = len(found.photos) - wrong
    if wrong:
        first = remark(f"{counted(good, 'photo')} of {len(found.photos)} can be used; see below what is wrong.", "warn")
    else:
        first = remark("All photos can be used." if good != 1 else "The photo can be used.", "good")
    addresses: dict[str, list[str]] = {}
    for name, address in portraits:
        addresses.setdefault(name, []).append(address)
    photos = "".join(
        _photo(photo, addresses[photo.name].pop(0) if addresses.get(photo.name) else "") for photo in found.photos
    )
    parts = [first, f'<ul class="kf-photos" aria-label="Photos">{photos}</ul>']
    if found.add_next:
        wishes = "".join(f"<li>{escape(_sentence(text))}</li>" for text in found.add_next)
        parts.append(f"<h3>What would help next</h3><ul class='kf-list'>{wishes}</ul>")
    unchecked = "; ".join(found.not_checked)
    parts.append(f"<details><summary>What can't be checked</summary><p>{escape(_sentence(unchecked))}</p></details>")
    return "".join(parts)


def _photo(photo: PhotoFinding, address: str) -> str:
    told = [
        None if photo.year is None else str(photo.year),
        None if photo.size_px is None else f"face {photo.size_px:.0f} px",
        None if photo.blur is None else _sharpness(photo.blur),
        None if photo.yaw_deg is None or abs(photo.yaw_deg) < 15 else f"turned {abs(photo.yaw_deg):.0f}°",
    ]
    picture = f'<img src="{address}" alt="{escape(photo.name)}">' if address else '<span class="kf-letter">?</span>'
    problems = "".join(f'<p class="kf-problem">{escape(_sentence(text))}</p>' for text in photo.problems)
    mark = '<p class="kf-fine">Good</p>' if not photo.problems else ""
    facts = escape(" · ".join(filter(None, told)))
    return f"<li>{picture}<div><b>{escape(photo.name)}</b><small>{facts}</small>{mark}{problems}</div></li>"


def _sharpness(blur: float) -> str:
    return "sharp" if blur <= SHARP else "a little soft"


def intake(name: str, found: Intake) -> str:
    """Return what became of photos that were to be added."""
    parts = []
    if found.accepted:
        parts.append(remark(f"{counted(len(found.accepted), 'photo')} added to {name}.", "good"))
    elif not found.refused and not found.duplicates:
        parts.append(remark(f"What you noted of {name} was kept.", "good"))
    parts += [remark(f"{item.source}: {item.reason}", "calm") for item in found.duplicates]
    parts += [remark(f"{item.source} was left out: {item.reason}", "bad") for item in found.refused]
    return "".join(parts)


def forgotten(gone: Forgotten) -> str:
    """Return what was deleted."""
    learned = f", and what was learned ({counted(gone.adapters, 'file')})" if gone.adapters else ""
    stayed = f" {counted(len(gone.links), 'linked photo')} outside the library stayed." if gone.links else ""
    return remark(f"{gone.name} is forgotten: {counted(gone.photos, 'photo')} deleted{learned}.{stayed}", "good")


# ---- faces ----


def chance(probability: float, name: str) -> str:
    """Return in words how likely a face is somebody's."""
    word = next(word for least, word in CHANCES if probability >= least)
    return f"{word} {name} ({_in_hundred(probability)})"


def headline(restoration: Restoration) -> str:
    """Return in one line what was done to a photo."""
    faces = restoration.faces
    seconds = f"{restoration.seconds:.0f} s" if restoration.seconds >= 1 else "less than a second"
    if restoration.tiles:
        return remark(f"The whole picture was restored, in {seconds}.", "good")
    if not faces or faces[0].box is None:
        return remark(NO_FACE, "warn")
    count = Counts.of(faces)
    if count.unchanged == count.found:
        return remark("No face was changed; below is said why. The picture is your photo, unchanged.", "warn")
    return remark(f"{_outcomes(count)}. It took {seconds}.", "good" if count.restored else "warn")


def _outcomes(count: Counts) -> str:
    """Return how many faces were restored, denoised and left unchanged, as far as there are any."""
    return f"{counted(count.found, 'face')}: {count.told}" if count.found else "no face found"


def face(number: int, result: FaceResult, crops: tuple[str, str], shares: Shares | None = None) -> str:
    """Return one face: what it was and is, whose, what was done and why, and its receipt in words and numbers."""
    if result.box is None:
        return ""
    name = result.person or f"Face {number}"
    before, after = crops
    shown = [_figure(before, "before" if result.changed else "unchanged", name)]
    shown += [_figure(after, "after", name)] if result.changed else []
    done, tone = _done(result)
    told = _why(result)
    why = f"<p>{escape(told)}</p>" if told else ""
    return (
        f'<li class="kf-face"><div class="kf-crops">{"".join(shown)}</div><div><h4>{escape(name)} '
        f'<span class="kf-pill kf-{tone}">{done}</span></h4>{why}{_receipt(result)}{_sources(shares)}'
        f"{_table(result.candidates)}</div></li>"
    )


def glimpse(name: str, address: str) -> str:
    """Return a photo that was dropped, small."""
    return f'<figure><img src="{address}" alt="{escape(name)}"></figure>'


def _done(result: FaceResult) -> tuple[str, Tone]:
    if not result.changed:
        return "unchanged", "calm"
    is_doubted = result.outcome == "denoised" or any(reason.kept for reason in result.reasons)
    return result.outcome, "warn" if is_doubted else "good"


def _why(result: FaceResult) -> str:
    """Return a face's reasons as sentences of the page; nothing where there are none."""
    own = [reason for reason in result.reasons if reason.code in WHY]
    told = [_sentence(WHY[reason.code] + (NEARLY.format(**reason.values) if reason.values else "")) for reason in own]
    rest = sentence([reason for reason in result.reasons if reason.code not in WHY], result.outcome, ASK)
    return " ".join([*told, *([_sentence(plain(rest))] if rest else [])])


def _receipt(result: FaceResult) -> str:
    """Return who a face is, and apart from that how good the result is; each number with what it means."""
    likeness, rows = result.similarity, []
    name = result.person or "the person of the reference photos"
    probability = result.same_person_probability
    meter = ""
    if probability is not None and likeness.input_to_references is not None:
        words = escape(chance(probability, name))
        meter = (
            f"<p class='kf-chance'><span>Who it is: <b>{words}</b></span><meter min='0' max='1' low='0.2' high='0.8' "
            f"optimum='1' value='{probability:.3f}' aria-label='{words}'></meter></p>"
        )
    if likeness.input_to_references is not None:
        rows.append(("Photo, compared with the reference photos", likeness.input_to_references))
    if result.changed and likeness.output_to_references is not None:
        rows.append(("Result, compared with the reference photos", likeness.output_to_references))
    if result.changed and likeness.output_to_input is not None:
        rows.append(("Result, compared with the photo", likeness.output_to_input))
    meter += _quality(result)
    if not rows:
        return meter
    cells = "".join(f"<div><dt>{text}</dt><dd>{value:.2f}</dd></div>" for text, value in rows)
    note = "<p class='kf-soft'>Likeness, by a network that drew nothing here: 1 is the same picture, 0 a stranger.</p>"
    return f"{meter}<details><summary>Numbers</summary><dl class='kf-numbers'>{cells}</dl>{note}</details>"


def _quality(result: FaceResult) -> str:
    """Return how good the result is, as it was measured on the finished picture."""
    found, likeness = result.quality, result.similarity
    if found is None:
        return ""
    parts = [
        f"detail {found.held_px_before:.0f} to {found.held_px_after:.0f} px",
        f"noise {100 * found.noise_before:.1f} to {100 * found.noise_after:.1f} %",
    ]
    before, after = likeness.input_to_references, likeness.output_to_references
    if before is not None and after is not None:
        parts.append(f"likeness {before:.2f} to {after:.2f}")
    return f"<p class='kf-soft'>How good the result is, before and after: {', '.join(parts)}.</p>"


def _sources(shares: Shares | None) -> str:
    """Return where a face came from, as a bar and in numbers."""
    if shares is None:
        return ""
    parts = (
        ("from-photo", "from the photo", shares.photo),
        ("from-references", "from the other photos", shares.references),
        ("invented", "invented", shares.invented),
    )
    text = ", ".join(f"{_in_hundred(value, ' %')} {name}" for _, name, value in parts)
    pieces = "".join(f'<i class="kf-{kind}" style="width:{100 * value:.1f}%"></i>' for kind, _, value in parts)
    return f'<div class="kf-sources"><div role="img" aria-label="{text}">{pieces}</div><small>{text}</small></div>'


def _table(candidates: Sequence[Candidate]) -> str:
    """Return what was measured of each version of a face."""
    if len(candidates) < 2:
        return ""
    head = "<tr><th>Version</th><th>Likeness</th><th>Fits the photo</th><th>Seed</th></tr>"
    rows = "".join(
        f"<tr{' class=kf-chosen' if item.chosen else ''}><td>{number}{' (shown)' if item.chosen else ''}</td>"
        f"<td>{'–' if item.judged is None else f'{item.judged:.2f}'}</td>"
        f"<td>{item.consistency_db:.1f} dB</td><td>{item.seed}</td></tr>"
        for number, item in enumerate(candidates, 1)
    )
    return f"<details><summary>All versions in numbers</summary><table>{head}{rows}</table></details>"


def _figure(address: str, text: str, name: str) -> str:
    alt = escape(f"{name}, {text}")
    return f'<figure><img src="{address}" alt="{alt}"><figcaption>{text.capitalize()}</figcaption></figure>'


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def _in_hundred(share: float, unit: str = " in 100") -> str:
    """Return a share as a number of a hundred; what is nearly all or nothing is never said to be so."""
    if 0.995 <= share < 1 and unit == " in 100":
        return f"more than 99{unit}"
    return f"less than 1{unit}" if 0 < share < 0.005 and unit == " in 100" else f"{100 * share:.0f}{unit}"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Return names as a list in a sentence, escaped; a long one is cut short."""
    shown = [escape(name) for name in names[:most]]
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    if rest or len(shown) < 2:
        return ", ".join(shown) + rest
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def version(rank: int, candidate: Candidate) -> str:
    """Return what is written under a version of a face."""
    return f"{rank}" if candidate.judged is None else f"{rank}: likeness {candidate.judged:.2f}"


def left_out(item: LeftOut) -> str:
    """Say that a reference photo was not used, and why."""
    return remark(f"{item.source} was not used: {item.reason}", "warn")


# ---- albums ----


def album(rows: Sequence[Row]) -> str:
    """Return what became of each photo of an album, as a table."""
    if not rows:
        return ""
    head = "<tr><th scope='col'>Photo</th><th scope='col'>What was done</th><th scope='col'>Seconds</th></tr>"
    return f"<table class='kf-rows'>{head}{''.join(map(_row, rows))}</table>"


def album_summary(rows: Sequence[Row]) -> str:
    """Return an album in one line."""
    failed = sum(row.error is not None for row in rows)
    changed = sum(any(face.changed for face in row.faces) for row in rows)
    parts = [
        f"{counted(len(rows) - failed, 'photo')} done, {changed} changed",
        _outcomes(Counts.of([face for row in rows for face in row.faces])),
    ]
    return "; ".join([*parts, f"{failed} failed"] if failed else parts)


def _row(row: Row) -> str:
    if row.error is not None:
        error = row.error.removeprefix(f"{row.name}: ")
        done = f"<span class='kf-pill kf-warn'>failed</span> {escape(_sentence(plain(error)))}"
    else:
        done = _done_to(row.faces)
    return f"<tr><td>{escape(row.name)}</td><td>{done}</td><td>{row.seconds:.1f}</td></tr>"


def _done_to(faces: Sequence[FaceResult]) -> str:
    seen = [face for face in faces if face.box is not None]
    if not seen:
        return "No face was found; the photo stays as it was."
    lines = "".join(f"<br><small>{escape(_line(face))}</small>" for face in seen if face.person)
    return f"{_outcomes(Counts.of(seen))}.{lines}"


def _line(face: FaceResult) -> str:
    """Return what was done to somebody's face, and why not more."""
    why = _why(face)
    return f"{face.person}: {why[:1].lower()}{why[1:]}" if why else f"{face.person}: {face.outcome}."
