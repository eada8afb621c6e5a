"""Why something was done to a face, or was not: a code and its values. Sentences are made of them in `reason_words.py`.

A reason of a *way* says why the face does not have it: what it would have done to the face, measured on the picture
with it pasted in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Value = float | int | str
Outcome = Literal["restored", "denoised", "unchanged"]  # drawn anew; noise and blocks taken out; every bit as it was
Way = Literal["restored", "denoised"]
Code = Literal[
    "no_face",
    # who it is
    "not_this_person",  # another face is more like the references
    "unknown",  # none of the people; person, likeness, needed: whose it nearly is
    "unlikely",  # probability, number: hardly the person of the references
    "unlikely_of_several",  # probability, number, faces
    "unlike",  # likeness, needed, number: below the floor that was asked for
    "unlikely_match",  # person, probability
    "too_blurred_of_several",  # number, faces: nobody can tell whose it is
    "led_on_your_word",  # too blurred to tell
    "like_no_other",  # surely like no other face of the album
    "no_good_photo",  # label: of the album, whose other photos are not good enough to lead
    # what was asked for
    "narrow",  # width, needed
    "unsure",  # score, needed: that it is a face
    "not_asked",
    "skipped",
    # nothing to gain
    "holds_more",  # held, makes: px
    "sharp",  # held: px
    "no_gain",
    # what a way would do
    "less_alike",  # before, after
    "hardly_alike",  # probability
    "less_detail",  # before, after: px
    "weaker",  # part, share
    "lost",  # score: the face is not found any more, or less surely
    "moved",  # share of the distance between the eyes
    "other_brightness",  # change
    "other_colour",  # change
]


@dataclass(frozen=True)
class Reason:
    """One reason: what it is, its values by name, and the way that it speaks against, if it does."""

    code: Code
    values: Mapping[str, Value] = field(default_factory=dict)
    way: Way | None = None
    kept: bool = False  # the way was taken all the same, as asked

    def to_json(self) -> dict[str, Any]:
        """Return the reason as plain data."""
        rounded = {name: round(item, 4) if isinstance(item, float) else item for name, item in self.values.items()}
        return {"code": self.code, "values": rounded} | ({"way": self.way} if self.way else {})

    def unnamed(self) -> "Reason":
        """Return the reason without the names of people."""
        if "person" not in self.values:
            return self
        return replace(self, values={**self.values, "person": "somebody of the library"})

    def names(self) -> Iterator[str]:
        """Give the people it speaks of."""
        if "person" in self.values:
            yield str(self.values["person"])
