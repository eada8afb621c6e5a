"""How a photo is to be restored, and a photo that was: its picture, its candidates, its report."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from keepface.engine.candidates import MOST, Candidates
from keepface.engine.disclosure import Disclosed, report
from keepface.engine.matching import People, of_library
from keepface.engine.provenance import Maker, Options, mark
from keepface.engine.redo import is_copy
from keepface.engine.references import References
from keepface.engine.result import FaceResult, Restoration
from keepface.engine.settings import RestoreSettings
from keepface.engine.sidecar import ReferenceHash, Sidecar, Sources, Written, describe, features_sha256
from keepface.engine.whole import PictureRestorer
from keepface.errors import RecipeError
from keepface.image.files import Photo, encode_photo
from keepface.methods import DEFAULT
from keepface.web.refusals import NotReadyError
from keepface.web.uploads import Given, Upload, format_of, written_as

ENDINGS = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "HEIF": ".heic",
    "AVIF": ".avif",
}  # of the formats that are written


@dataclass(frozen=True)
class Wish:
    """How a photo is to be restored; `person` is a name of the library."""

    method: str = DEFAULT
    everybody: bool = True  # each face by its own person of the library
    person: str | None = None  # or one person of the library
    references: tuple[Given, ...] = ()  # or photos given along
    settings: RestoreSettings = RestoreSettings()
    seed: int = 0
    candidates: int = 1
    wants_evidence: bool = False
    strip_gps: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.candidates <= MOST:
            raise RecipeError(f"candidates is {self.candidates}; it must be from 1 to {MOST}")

    def options(self, max_pixels: int) -> Options:
        """Return it as the engine's options."""
        return Options(self.settings, self.seed, None, self.candidates, max_pixels, self.strip_gps)


@dataclass(frozen=True, eq=False)
class Restored:
    """One photo restored; what leads nobody is still told of in `restoration.left_out`."""

    upload: Upload
    photo: Photo  # as given
    restoration: Restoration
    candidates: Candidates | None
    restorer: PictureRestorer
    maker: Maker  # what the networks were then; another person may be loaded since
    wish: Wish
    options: Options
    sources: Sources
    looked_for: tuple[str, ...]  # those of the library who were to be found in it

    @property
    def name(self) -> str:
        """Return the photo's name."""
        return self.upload.name

    @property
    def people(self) -> tuple[str, ...]:
        """Name those of the library who led it, or are spoken of in a receipt."""
        one = self.looked_for if self.wish.person is not None else ()
        return tuple(sorted({*one, *named_in(self.restoration.faces, self.looked_for)}))

    @property
    def nbytes(self) -> int:
        """Return how much memory its pictures take."""
        held: list[Tensor] = [self.photo.pixels, self.restoration.image.pixels]
        if self.restoration.evidence is not None:
            held.append(self.restoration.evidence.maps)
        if self.candidates is not None:
            held += [self.candidates.look.squares, *(face.squares for face in self.candidates.faces)]
        return len(self.upload.data) + sum({tensor.data_ptr(): tensor.nbytes for tensor in held}.values())

    def discard(self) -> None:
        """Delete its files; it has none."""

    @property
    def form(self) -> str:
        """Return the format of the photo given, as far as it is written, else PNG."""
        return written_as(self.upload.data)

    def picture(self, ranks: Sequence[int] | None = None) -> Restoration:
        """Return the restoration with other candidates: for each restored face its rank, 0 the best.

        Raises:
            NotReadyError: there are no candidates to choose from.
            RecipeError: not one rank for each restored face, or one that there is not.
        """
        if ranks is None or (self.candidates is not None and not any(ranks) and len(ranks) == self.choices):
            return self.restoration
        if self.candidates is None:
            raise NotReadyError("only one candidate was drawn of each face; ask for more when the photo is restored")
        other = mark(self.candidates.picture(self.restorer, ranks), self.maker, self.options)
        return dataclasses.replace(other, evidence=self.restoration.evidence)

    @property
    def choices(self) -> int:
        """Return of how many faces candidates can be chosen."""
        return 0 if self.candidates is None else len(self.candidates.faces)

    def file(self, form: str | None = None, ranks: Sequence[int] | None = None) -> bytes:
        """Return the bytes of the picture's file; a photo in which nothing was restored comes back byte for byte.

        `form` is png, jpeg, webp or tiff, or `None` for the photo's own.
        """
        wanted = checked_form(form) if form is not None else self.form
        restoration = self.picture(ranks)
        if is_copy(restoration, format_of(self.upload.data), wanted, self.options):
            return self.upload.data
        return encode_photo(restoration.image, wanted)

    def overlay(self) -> bytes:
        """Return the evidence as a PNG over the picture.

        Raises:
            NotReadyError: it was not asked for.
        """
        if self.restoration.evidence is None:
            raise NotReadyError("no evidence was asked for; ask for it when the photo is restored")
        return encode_photo(Photo(self.restoration.evidence.overlay(self.restoration.image.pixels)), "PNG")

    def recipe(self, form: str | None = None) -> str:
        """Return the recipe of the best picture in a format, as `keepface redo` takes it; one JSON object."""
        return self._sidecar(self.form if form is None else checked_form(form)).to_json()

    def report(self) -> str:
        """Return the disclosure report, one HTML page."""
        return report(Disclosed(self.photo, self.restoration, self._sidecar(self.form)))

    def _sidecar(self, form: str) -> Sidecar:
        data = self.file(form)
        written = Written(form, data, data == self.upload.data)
        sidecar = describe(self.restoration, self.restorer.method, self.options, self.sources, written)
        return dataclasses.replace(sidecar, maker=self.maker)


def named_in(faces: Sequence[FaceResult], people: Sequence[str]) -> set[str]:
    """Return those of the people who were found among faces, or of whom a reason speaks."""
    told = {name for face in faces for reason in face.reasons for name in reason.names()}
    return {face.person for face in faces if face.person is not None} | told.intersection(people)


def sources_of(photo: Given, wish: Wish, led_by: References | People) -> Sources:
    """Hash the files that a result is made of, and the people of the library that led it."""
    hashes = tuple(ReferenceHash(hashlib.sha256(item.data).hexdigest()) for item in wish.references)
    known = tuple(sorted(features_sha256(person) for person in of_library(led_by)))
    return Sources(hashlib.sha256(photo.data).hexdigest(), hashes, known)


def checked_form(form: str) -> str:
    """Return a format, given by name or ending, as `keepface.image.files` calls it; a `RecipeError` names them."""
    wanted = {"JPG": "JPEG", "TIF": "TIFF"}.get(form.upper(), form.upper())
    if wanted not in ENDINGS:
        raise RecipeError(f"format {form!r} is not written; use one of {', '.join(ENDINGS).lower()}")
    return wanted
