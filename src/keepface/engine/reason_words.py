"""Reasons as sentences: what `--json`, the command line and the report say of them; the page has words of its own."""

from collections.abc import Sequence

from keepface.engine.reasons import Outcome, Reason

ASK = "if it is them, ask for face {number}"
SENTENCES = {  # of what was done to a face before anything was drawn
    "no_face": "no face",
    "not_this_person": "not this person",
    "unknown": "nobody of the people given",
    "unlikely": "left as it was: hardly the person of the references (probability {probability:.2f}); {ask}",
    "unlikely_of_several": "left as it was: of {faces} faces the most like the references, but not surely this person "
    "(probability {probability:.2f}); {ask}",
    "unlike": "left as it was: not like the references (similarity {likeness:.2f}, needed {needed:.2f}); {ask}",
    "unlikely_match": "left as it was: most like {person}, but hardly this person (probability {probability:.2f})",
    "too_blurred_of_several": "left as it was: of {faces} faces the most like the references, but too blurred to tell "
    "whose it is; {ask}",
    "led_on_your_word": "too blurred to tell whose face it is: guided by the references on your word",
    "like_no_other": "no references: no other face of the album is surely of this person",
    "no_good_photo": "no references: no other photo of {label} is good enough to guide it",
    "narrow": "skipped: {width:.0f} px wide, and at least {needed:g} px are asked for",
    "unsure": "skipped: sure by {score:.2f} that it is a face, and {needed:g} is asked for",
    "not_asked": "skipped: not asked for",
    "skipped": "skipped, as asked",
    "holds_more": "left as it was: already holds more detail than this model makes "
    "(the photo's face holds {held:.0f} px; the model makes {makes} px)",
    "sharp": "left as it was: already sharp, with hardly any noise (its detail fills {held:.0f} px)",
}
NEARLY = "; most like {person} ({likeness:.2f}, needed {needed:.2f})"
WOULD = {  # what a way would do to a face
    "no_gain": "be no clearer",
    "less_alike": "be less like the references ({before:.2f} to {after:.2f})",
    "hardly_alike": "hardly look like the person of the references (probability {probability:.2f})",
    "less_detail": "hold less detail than the photo ({before:.0f} to {after:.0f} px)",
    "weaker": "have fainter {part} ({share:.0%} of the contrast)",
    "lost": "be less clearly a face (sure by {before:.2f} to {after:.2f})",
    "moved": "have eyes, nose and mouth in other places ({share:.0%} of the distance between the eyes)",
    "other_brightness": "change in brightness by {change:+.0%} of white",
    "other_colour": "have another colour ({change:.0%} of white)",
}
KEPT = {  # the same of a result that was kept as asked
    "no_gain": "it is no clearer",
    "less_alike": "it is less like the references than before ({before:.2f} to {after:.2f})",
    "hardly_alike": "it hardly looks like the person of the references (probability {probability:.2f})",
    "less_detail": "it holds less detail than the photo ({before:.0f} to {after:.0f} px)",
    "weaker": "fainter {part} ({share:.0%} of the contrast)",
    "lost": "it is less clearly a face (sure by {before:.2f} to {after:.2f})",
    "moved": "its eyes, nose and mouth are in other places ({share:.0%} of the distance between the eyes)",
    "other_brightness": "its brightness changed by {change:+.0%} of white",
    "other_colour": "it has another colour ({change:.0%} of white)",
}


def sentence(reasons: Sequence[Reason], outcome: Outcome, ask: str = ASK) -> str | None:
    """Return all reasons of a face as one sentence, without a full stop; `None` where there are none.

    `ask` says how a face is asked for by its {number}.
    """
    told = [_of_face(reason, ask) for reason in reasons if reason.way is None]
    refused: dict[str, list[str]] = {}
    for reason in reasons:
        if reason.way and not reason.kept:
            refused.setdefault(reason.way, []).append(_filled(WOULD, reason))
    if refused:
        would = "; ".join(f"{way}, it would {' and '.join(against)}" for way, against in refused.items())
        told.append(f"{'left as it was' if outcome == 'unchanged' else outcome}: {would}")
    told += [f"{_filled(KEPT, reason)}: keep the old face" for reason in reasons if reason.kept]
    return "; ".join(told) or None


def _of_face(reason: Reason, ask: str) -> str:
    text = SENTENCES[reason.code]
    if reason.code == "unknown" and "person" in reason.values:
        text += NEARLY
    asking = ask.format(**reason.values) if "{ask}" in text else ""
    return text.format(ask=asking, **reason.values)


def _filled(table: dict[str, str], reason: Reason) -> str:
    return table[reason.code].format(**reason.values)
