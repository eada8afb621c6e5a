"""What `keepface restore` says of each photo and each face."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keepface.cli.paths import Jobs, left_out_words
from keepface.cli.show import report, say, say_json, tell
from keepface.engine.reason_words import sentence
from keepface.errors import KeepfaceError

if TYPE_CHECKING:
    from keepface.engine.from_album import AlbumPeople
    from keepface.engine.result import FaceResult, Restoration

ASK = "if it is them, --only {number} restores it"
WHY = {  # of an album that guides itself, why faces are unchanged, in a few words
    "like_no_other": "of nobody else in the album, or not surely",
    "no_good_photo": "without another good photo of them",
    "unlikely_match": "hardly of the same person",
    "holds_more": "already sharp",
    "sharp": "already sharp",
}
NO_BETTER, NOT_ASKED = "no better for it", "not asked for"


@dataclass
class Telling:
    """What is said while photos are done, and at the end; with --json all of it at the end, but for errors."""

    as_json: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    album: "AlbumPeople | None" = None

    def found(self, album: "AlbumPeople") -> None:
        """Say who is in an album that guides itself."""
        self.album = album
        if not self.as_json:
            say(album.told)

    def done(self, row: dict[str, Any], restoration: "Restoration | None") -> None:
        """Say what was done to one photo."""
        self.rows.append(row)
        tell_done(row, restoration, self.as_json)

    def end(self, jobs: Jobs) -> None:
        """Say what became of all."""
        if self.as_json:
            people = {} if self.album is None else {"album": self.album.to_json()}
            say_json({"results": self.rows} | people | left_out(jobs))
            return
        tell_sum(self.rows)
        if self.album is not None and (why := why_unchanged(self.rows)):
            say(f"unchanged faces: {why}")

    @property
    def has_failures(self) -> bool:
        """Tell whether a photo could not be restored."""
        return any(row["error"] for row in self.rows)


def why_unchanged(rows: Sequence[dict[str, Any]]) -> str:
    """Count why faces are unchanged, the most frequent reason first."""
    count: Counter[str] = Counter()
    for face in (face for row in rows for face in row["faces"]):
        if face["box"] is not None and face["outcome"] == "unchanged":
            first: dict[str, Any] = next(iter(face["reasons"]), {})
            count[NO_BETTER if "way" in first else WHY.get(first.get("code", ""), NOT_ASKED)] += 1
    return ", ".join(f"{number} {words}" for words, number in count.most_common())


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


def tell_sum(rows: Sequence[dict[str, Any]]) -> None:
    """Say in one line what became of several photos: what was restored, denoised and unchanged apart."""
    if len(rows) < 2:
        return
    failed = sum(bool(row["error"]) for row in rows)
    faces = [face["outcome"] for row in rows for face in row["faces"] if face["box"] is not None]
    words = ("restored", "denoised", "unchanged")
    told = ", ".join(f"{faces.count(word)} {word}" for word in words)
    say(f"{len(rows)} photos, {len(faces)} faces: {told}{f'; {failed} photos failed' if failed else ''}")


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
    if face.same_person_probability is not None and (face.changed or face.person):
        told.append(f"same person with probability {face.same_person_probability:.2f}")
    if face.changed:
        told.append(face.outcome)
    if before is not None and after is not None and face.changed:
        told.append(f"likeness to the references {before:.2f} before, {after:.2f} after")
    if face.quality is not None:
        told.append(f"detail {face.quality.held_px_before:.0f} px before, {face.quality.held_px_after:.0f} px after")
    why = sentence(face.reasons, face.outcome, ASK)
    if why:
        told.append(why)
    who = f", {face.person}" if face.person else ""
    return f" at {face.box[0]:.0f},{face.box[1]:.0f}{who}: {'; '.join(told)}" if told else ""


def _done(restoration: "Restoration") -> str:
    from keepface.engine.result import Counts

    if restoration.tiles:
        first = "denoised and " if restoration.cleaned else ""
        height, width = restoration.image.pixels.shape[1:]
        return f"whole picture {first}restored by {restoration.tiles} tiles, {width} x {height} px"
    if restoration.faces[0].box is None:
        return "no face found, photo left as it is"
    count = Counts.of(restoration.faces)
    faces = f"{count.found} face{'s' if count.found > 1 else ''}"
    return f"{faces}: {count.told}" if restoration.changed else f"nothing changed; {faces}"
