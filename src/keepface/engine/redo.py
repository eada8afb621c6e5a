"""Make a result by its options, and make it again by its recipe, byte for byte."""

from pathlib import Path

from keepface.engine.candidates import Candidates, Drawing, restore_candidates, with_evidence
from keepface.engine.matching import People
from keepface.engine.photo import Progress
from keepface.engine.provenance import Options, made_by, mark
from keepface.engine.references import References
from keepface.engine.result import Restoration
from keepface.engine.sidecar import Sidecar, check_maker, check_photo
from keepface.engine.whole import PictureRestorer, restore_any
from keepface.errors import PhotoError
from keepface.image.endings import FORMATS
from keepface.image.files import Photo, encode_photo, read_photo, without_gps


def restore_by(
    options: Options,
    restorer: PictureRestorer,
    photo: Photo,
    references: References | People,
    wants_evidence: bool = False,
    progress: Progress | None = None,
) -> tuple[Restoration, Candidates | None]:
    """Restore a photo by options, and say in its XMP how; there are candidates where several were asked for.

    Evidence changes nothing of the picture.

    Raises:
        RecipeError: candidates or evidence of a picture that is restored by tiles.
        PhotoError, ReferencePhotoError: as `restore_any`.
    """
    shown = without_gps(photo) if options.strip_gps else photo
    seed, is_aligned, settings = options.seed, options.is_aligned, options.settings
    candidates = None
    if options.candidates == 1 and not wants_evidence:
        restoration = restore_any(restorer, shown, references, settings, seed, is_aligned, progress)
    else:
        drawing = Drawing(options.candidates, seed, is_aligned)
        candidates = restore_candidates(restorer, shown, references, settings, drawing, progress)
        restoration = with_evidence(restorer, candidates, progress) if wants_evidence else candidates.best
    return mark(restoration, made_by(restorer.method), options), candidates


def file_bytes(restoration: Restoration, photo: Path, form: str, options: Options) -> tuple[bytes, bool]:
    """Return the bytes to write, and whether they are the photo's own: nothing was restored, and nothing is left out.

    `form` is a value of FORMATS.
    """
    if is_copy(restoration, FORMATS.get(photo.suffix.lower()), form, options):
        return _read(photo), True
    return encode_photo(restoration.image, form), False


def is_copy(restoration: Restoration, own: str | None, form: str, options: Options) -> bool:
    """Tell whether the result is the photo's own bytes, a file of the format `own`."""
    return not restoration.changed and not options.strip_gps and own == form


def redo(
    sidecar: Sidecar,
    restorer: PictureRestorer | None,
    photo: Path,
    references: References | People,
    progress: Progress | None = None,
) -> bytes:
    """Make the bytes of a result again; whether they came out the same `check_output` tells.

    No restorer is needed for a recipe of a photo that was copied.

    Raises:
        PhotoError: another photo than the recipe's.
        HashMismatchError: other networks than the recipe's.
    """
    check_photo(sidecar, photo)
    if sidecar.is_copy or restorer is None:
        return _read(photo)
    check_maker(sidecar, made_by(restorer.method))
    options = sidecar.options
    restoration, _ = restore_by(options, restorer, read_photo(photo, options.limits), references, progress=progress)
    return encode_photo(restoration.image, sidecar.output_format)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{path}: can't be read: {error.strerror or error}") from None
