"""The faces of an album's photos, each in a few kilobytes: whose they may be, and whether they are fit to lead others.

Photos are looked at a few at a time, and none is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from keepface.data.copies import SAME_PHOTO, signature
from keepface.engine.likeness import LIBRARY_FLOORS, TOO_BLURRED, clarity
from keepface.engine.photo import SquareRestorer, find_faces
from keepface.engine.provenance import Options
from keepface.errors import KeepfaceError
from keepface.faces.align import align_ffhq
from keepface.faces.detail import measure_detail
from keepface.faces.face import Face
from keepface.faces.judge import judge
from keepface.identity.recogniser import Recogniser
from keepface.image.files import Photo, read_photo, to_uint8

# Ours: pixels a side that a face's detail fills. Sharp press photos of 250 px (LFW) hold 70 to 165, half their size 35
# to 70; what recognisers are shown holds 140 at most.
GOOD_PX, CLEAR_PX = 70.0, 50.0
SURE = 0.9  # ours: the detector's score of a face that leads, or is grouped by itself
INSIDE = 0.9  # ours: share of a face's box that must lie in the photo
COPY_PX = 128  # side of the square by which copies are told

Progress = Callable[[int, int], None]  # photos done, photos in all


@dataclass(frozen=True, eq=False)
class AlbumFace:
    """One face of a photo of the album."""

    source: str  # names the photo, as `read_photo` does
    number: int  # among the faces of its photo, the largest is 0
    face: Face
    known_by: Float[np.ndarray, "d"]  # unit embedding
    held_px: float  # how many pixels a side its detail fills
    yaw_deg: float
    is_clear: bool  # enough to be recognised
    look: Float[np.ndarray, "k"] | None = None  # a signature by which copies are told; None: not fit to lead others

    @property
    def is_good(self) -> bool:
        """Tell whether it may lead others."""
        return self.look is not None

    @property
    def place(self) -> tuple[str, int]:
        """Return photo and number, by which faces are sorted."""
        return self.source, self.number

    def is_copy(self, other: "AlbumFace") -> bool:
        """Tell whether two good faces are one picture."""
        return self.look is not None and other.look is not None and float(self.look @ other.look) >= SAME_PHOTO


def grouper(restorer: SquareRestorer) -> Recogniser:
    """Return who knows faces again: the recogniser that leads the model, or the judge where it has no known floor."""
    own = restorer.embedder.recogniser
    return own if own.name in LIBRARY_FLOORS else restorer.judge


def faces_of_album(
    restorer: SquareRestorer, sources: Sequence[str], options: Options, workers: int, progress: Progress | None = None
) -> Iterator[AlbumFace]:
    """Find the faces of all photos, in the order of the photos' names; photos that can't be used give none.

    Why they can't be is told where they are to be restored.
    """
    ordered = sorted(set(sources))
    with ThreadPoolExecutor(workers, "keepface") as pool:
        looked = pool.map(lambda source: _faces(restorer, source, options), ordered)
        try:
            for number, faces in enumerate(looked, 1):
                yield from faces
                if progress:
                    progress(number, len(ordered))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@torch.no_grad()
def _faces(restorer: SquareRestorer, source: str, options: Options) -> list[AlbumFace]:
    try:
        photo = read_photo(source, options.limits)
        found, _ = find_faces(restorer, photo, options.settings, options.is_aligned)
    except (KeepfaceError, OSError):
        return []
    return [_look(restorer, photo, source, number, face) for number, face in enumerate(found)]


def _look(restorer: SquareRestorer, photo: Photo, source: str, number: int, face: Face) -> AlbumFace:
    """Measure one face."""
    held = measure_detail(photo.pixels, face.points).held_px
    is_sure = face.score >= SURE
    is_clear = is_sure and held >= CLEAR_PX and clarity(photo.pixels, face) >= TOO_BLURRED
    fitness = judge(photo.pixels, face)
    is_good = is_clear and held >= GOOD_PX and not fitness.problems and _is_inside(photo, face)
    look = signature(to_uint8(align_ffhq(photo.pixels, face.points, COPY_PX).crop)) if is_good else None
    known_by = grouper(restorer).embed(photo.pixels, face).numpy().astype(np.float64)
    return AlbumFace(source, number, face, known_by, held, fitness.yaw_deg, is_clear, look)


def _is_inside(photo: Photo, face: Face) -> bool:
    height, width = photo.pixels.shape[1:]
    left, top, right, bottom = face.box
    shown = max(0.0, min(right, width) - max(left, 0.0)) * max(0.0, min(bottom, height) - max(top, 0.0))
    return shown >= INSIDE * face.area
