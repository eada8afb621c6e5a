"""What `keepface restore` says of each photo and each face."""

from typing import TYPE_CHECKING, Any

from keepface.cli.paths import Jobs, left_out_words
from keepface.cli.show import report, say, tell
from keepface.errors import KeepfaceError

if TYPE_CHECKING:
    from keepface.engine.result import FaceResult, Restoration


def tell_done(row: dict[str, Any], restoration: "Restoration | None", as_json: bool) -> None:
    """Say what was done to one photo; with --json only what went wrong, on stderr."""
    if row["error"]:
        report(KeepfaceError(row["error"]))
        return
    if as_json:
        return
    if restoration is None:
        say(f"{row['output']} is there already, left alone (--force restores it again)")
        return
    say(f"{row['input']} -> {row['output']}  {_done(restoration)}, {row['seconds']:.1f} s")
    for note in row.get("notes", ()):
        say(f"  note: {note}")
    for number, face in enumerate(restoration.faces, 1):
        if words := _face(face):
            say(f"  face {number}{words}")


def tell_left_out(jobs: Jobs) -> None:
    """Say on stderr what of folders was left out."""
    for folder, kinds in jobs.left_out:
        tell(f"{folder}: left out: {left_out_words(kinds)}")


def left_out(jobs: Jobs) -> dict[str, Any]:
    """Return the same as --json prints it; nothing where nothing was."""
    found = [{"folder": str(folder), "kinds": dict(kinds)} for folder, kinds in jobs.left_out]
    return {"left_out": found} if found else {}


def _face(face: "FaceResult") -> str:
    """Say who a face is, how alike before and after, how sure that is, and what is to be known of it."""
    if face.box is None:
        return ""
    before, after = face.similarity.input_to_references, face.similarity.output_to_references
    told = []
    if before is not None and after is not None:
        told.append(f"likeness to the references {before:.2f} before, {after:.2f} after")
    if before is not None and face.same_person_probability is not None and (face.restored or face.person):
        told.append(f"same person {face.same_person_probability:.2f}")
    if face.reason:
        told.append(face.reason)
    who = f", {face.person}" if face.person else ""
    return f" at {face.box[0]:.0f},{face.box[1]:.0f}{who}: {'; '.join(told)}" if told else ""


def _done(restoration: "Restoration") -> str:
    first = "cleaned and " if restoration.cleaned else ""
    if restoration.tiles:
        height, width = restoration.image.pixels.shape[1:]
        return f"whole picture {first}restored by {restoration.tiles} tiles, {width} x {height} px"
    if restoration.faces[0].box is None:
        return "no face found, photo left as it is"
    count = sum(face.restored for face in restoration.faces)
    return f"{count} of {len(restoration.faces)} face{'s' if len(restoration.faces) > 1 else ''} {first}restored"
