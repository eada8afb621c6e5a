"""Photos to train and measure on, as face crops: from parquet shards, or from folders with a person's name.

A crop is turned upright to the FFHQ five-point template and holds a margin: its central 1/1.2 is the FFHQ square.
What can't be used is never dropped without a word: it becomes a `LeftOut` with its reason.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.errors import DataError, FaceError, KeepfaceError, MissingExtraError
from keepface.faces.align import FFHQ_SIDE, ffhq_template, invert, scale_of, similarity, transform, warp
from keepface.faces.face import Face
from keepface.image.files import photo_from_bytes, read_photo

MARGIN = 1.2  # side of the crop over side of the FFHQ square in its centre
MAX_SIDE = 308  # px, so that a 256 px square can be cut
MIN_NATIVE_PX = 64  # a smaller face holds too little of its person
RIVAL_AREA = 0.5  # a second face with this share of the largest one's box makes the person uncertain
COLUMNS = ("image", "identity", "source", "native_px", "inside", "landmarks")


@dataclass(frozen=True, eq=False)
class Row:
    """One crop of one person's photo."""

    image: Float[Tensor, "3 s s"]  # RGB, 0 to 1
    identity: str  # the same text is the same person
    source: str  # the collection it comes from
    native_px: float  # side of the crop in pixels of the original photo
    inside: float  # share of the crop that lies inside the photo; the rest is mirrored
    landmarks: Float[
        np.ndarray, "5 2"
    ]  # (x, y) px of the crop; eye at the image's left, other eye, nose, mouth corners


@dataclass(frozen=True)
class LeftOut:
    """A photo that can't be used and why."""

    origin: str
    reason: str


@dataclass(frozen=True)
class Entry:
    """A photo not read yet; `read` raises a `KeepfaceError` when it can't be used."""

    origin: str
    read: Callable[[], Row]


@runtime_checkable
class Source(Protocol):
    """A collection of photos that can be gone through more than once, always in the same order."""

    def __len__(self) -> int: ...

    def entries(self) -> Iterator[Entry]:
        """Go through the photos without decoding them."""
        ...


@runtime_checkable
class FaceFinder(Protocol):
    """Whoever finds faces in a photo, the largest first."""

    def detect(self, image: Float[Tensor, "3 h w"]) -> list[Face]:
        """Find the faces of a photo."""
        ...


def read_all(source: Source) -> tuple[list[Row], list[LeftOut]]:
    """Read every photo of a source into memory, and say what was left out."""
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    for entry in source.entries():
        try:
            rows.append(entry.read())
        except KeepfaceError as error:
            left_out.append(LeftOut(entry.origin, str(error)))
    return rows, left_out


class Shards:
    """The rows of parquet shards, in the order of the files; `for row in shards` decodes one at a time."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self._rows: int = sum(_open_shard(path).metadata.num_rows for path in paths)

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Row]:
        return (entry.read() for entry in self.entries())

    def entries(self) -> Iterator[Entry]:
        """Go through the rows without decoding them; one row group is in memory at a time."""
        for path in self.paths:
            number = 0
            for group in _open_shard(path).iter_batches(batch_size=256, columns=list(COLUMNS)):
                for cells in group.to_pylist():
                    origin = f"{path.name} row {number}"
                    yield Entry(origin, partial(_shard_row, cells, origin))
                    number += 1


def read_shards(folder: Path, split: str = "train") -> Shards:
    """Open the shards `<split>*.parquet` of a folder; `split` may go further, such as `train-lfw`.

    Raises:
        DataError: there are none, or one is not such a shard.
        MissingExtraError: pyarrow is not installed.
    """
    paths = tuple(sorted(folder.glob(f"{split}*.parquet")))
    if not paths:
        there = sorted({path.name.rsplit("-", 1)[0] for path in folder.glob("*.parquet")})
        raise DataError(f"{folder}: no shards {split}*.parquet here; there are: {', '.join(there) or 'none'}")
    return Shards(paths)


class PersonFolders:
    """Photos laid out as `person/photo.jpg`: each is searched for its face and cut upright."""

    def __init__(self, root: Path, finder: FaceFinder) -> None:
        self.root = root
        self._finder = finder
        self._paths = tuple(sorted(path for path in root.rglob("*") if path.is_file() and path.name[0] != "."))

    def __len__(self) -> int:
        return len(self._paths)

    def entries(self) -> Iterator[Entry]:
        """Go through the files without reading them."""
        for path in self._paths:
            yield Entry(str(path.relative_to(self.root)), partial(self._row, path))

    def _row(self, path: Path) -> Row:
        if len(path.relative_to(self.root).parts) != 2:
            raise DataError("not in a person's own folder; lay photos out as person/photo.jpg")
        image = read_photo(path).pixels
        faces = self._finder.detect(image)
        if not faces:
            raise FaceError("no face found")
        if len(faces) > 1 and faces[1].area >= RIVAL_AREA * faces[0].area:
            raise FaceError(f"{len(faces)} faces, two of them of similar size: which one is {path.parent.name}?")
        return cut_row(image, faces[0].points, path.parent.name, "folder")


def read_folder(root: Path, finder: FaceFinder) -> PersonFolders:
    """Open a folder of people, `person/photo.jpg`; the folder's name is the identity.

    Raises:
        DataError: the folder is missing or holds no file.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder")
    folders = PersonFolders(root, finder)
    if not len(folders):
        raise DataError(f"{root}: no files here; lay photos out as person/photo.jpg")
    return folders


def cut_row(image: Float[Tensor, "3 h w"], points: Float[np.ndarray, "5 2"], identity: str, source: str) -> Row:
    """Cut the upright crop with its margin out of a photo; it is never enlarged, nor larger than 308 px.

    Raises:
        FaceError: the face has too few pixels.
    """
    native_px = MARGIN * FFHQ_SIDE / scale_of(similarity(points, ffhq_template(FFHQ_SIDE)))
    if native_px < MIN_NATIVE_PX:
        raise FaceError(f"the face's crop is {native_px:.0f} px wide in the photo; {MIN_NATIVE_PX} px are needed")
    side = min(MAX_SIDE, int(native_px) // 2 * 2)
    matrix = similarity(points, _margin_template(side))
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]]) - 0.5
    reach = transform(corners, invert(matrix)).astype(np.float32)
    height, width = image.shape[1:]
    photo = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)
    covered, _ = cv2.intersectConvexConvex(reach, photo)
    return Row(
        image=warp(image, matrix, side, "reflect"),
        identity=identity,
        source=source,
        native_px=float(native_px),
        inside=min(1.0, float(covered) / float(cv2.contourArea(reach))),
        landmarks=transform(points, matrix).astype(np.float32),
    )


def _margin_template(side: int) -> Float[np.ndarray, "5 2"]:
    inner = side / MARGIN
    return ffhq_template(FFHQ_SIDE) * (inner / FFHQ_SIDE) + (side - inner) / 2


def _open_shard(path: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("reading shards needs pyarrow: pip install 'keepface[train]'") from None
    try:
        shard = parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a parquet shard: {error}") from None
    missing = [name for name in COLUMNS if name not in shard.schema_arrow.names]
    if missing:
        raise DataError(f"{path}: columns {', '.join(missing)} are missing; a shard of faces has {', '.join(COLUMNS)}")
    return shard


def _shard_row(cells: dict[str, Any], origin: str) -> Row:
    image = photo_from_bytes(cells["image"]["bytes"], origin).pixels
    if image.shape[1] != image.shape[2]:
        raise DataError(f"{origin}: the crop is {image.shape[2]} x {image.shape[1]} px; it must be square")
    landmarks = np.array(cells["landmarks"], np.float32)
    if landmarks.size != 10 or not np.isfinite(landmarks).all():
        raise DataError(f"{origin}: landmarks {cells['landmarks']}; five (x, y) pairs are needed")
    return Row(
        image=image,
        identity=str(cells["identity"]),
        source=str(cells["source"]),
        native_px=float(cells["native_px"]),
        inside=float(cells["inside"]),
        landmarks=landmarks.reshape(5, 2),
    )
