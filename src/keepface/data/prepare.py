"""Photos to a pack: one file of pixels that training reads at random, one table, one file of identity features.

A pack is a folder:
    images.npy            n S S 3 uint8, S = even round(1.2 size); the central size x size is the FFHQ square
    table.json            size, side, and the columns identity, source, native_px, inside, landmarks; what was left out
    features.safetensors  per feature (1 + variants) n d float32: of the photo as it is, then of changed forms of it
It is written aside, some photos at a time, in `.<name>.part`; the same command goes on where it was stopped.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from keepface.data.shards import MARGIN, Entry, LeftOut, Row, Source
from keepface.data.unfinished import UnfinishedPack
from keepface.data.variants import change, flip_points
from keepface.errors import DataError, KeepfaceError, OutputExistsError
from keepface.image.files import to_uint8
from keepface.image.size import resize
from keepface.seeds import numpy_generator
from keepface.weights.store import read_safetensors

FORMAT = 1
BLOCK = 16  # photos that are read and turned into features together, and the most that a stop loses
Progress = Callable[[int, int], None]  # photos done, photos in all


@runtime_checkable
class FeatureMaker(Protocol):
    """Whoever turns crops into identity features; asked for photos and their changed forms, some at a time."""

    def names(self) -> dict[str, int]:
        """Say what the features are called and how long each is."""
        ...

    def features(
        self, squares: Sequence[Float[Tensor, "3 _ _"]], landmarks: Sequence[Float[np.ndarray, "5 2"]]
    ) -> dict[str, Float[Tensor, "b _"]]:
        """Compute the features of crops of any sides; `landmarks` are the five (x, y) points in pixels of each."""
        ...


def side_with_margin(size: int) -> int:
    """Return the even side of a crop whose centre is a square of `size` pixels: 128 gives 154."""
    return 2 * round(MARGIN * size / 2)


class Pack:
    """A prepared pack, its pixels left on disk until they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
            self.images: np.ndarray = np.load(folder / "images.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataError(
                f"{folder}: not a prepared pack ({error}); make one with: keepface data prepare SOURCE {folder}"
            ) from None
        if table.get("format") != FORMAT or len(self.images) != len(table["identity"]):
            raise DataError(f"{folder}: this pack is damaged or of another version; remove it and prepare it again")
        self.size: int = table["size"]
        self.side: int = table["side"]
        self.identities: list[str] = table["identity"]
        self.sources: list[str] = table["source"]
        self.native_px = np.array(table["native_px"], np.float32)
        self.inside = np.array(table["inside"], np.float32)
        self.landmarks = np.array(table["landmarks"], np.float32).reshape(-1, 5, 2)  # px of the crop, n 5 2
        self.left_out = [LeftOut(origin, reason) for origin, reason in table["left_out"]]
        self.margin_px = (self.side - self.size) // 2  # how far a square may be shifted

    def __len__(self) -> int:
        return len(self.identities)

    @cached_property
    def features(self) -> dict[str, Float[Tensor, "v n d"]]:
        """Return the identity features, read at first use; empty when the pack was prepared without."""
        path = self.folder / "features.safetensors"
        return read_safetensors(path) if path.exists() else {}

    def square(self, i: int, offset: tuple[int, int] = (0, 0), flip: bool = False) -> UInt8[np.ndarray, "s s 3"]:
        """Cut the square of photo `i`, shifted by `offset` = (x, y) pixels, at most `margin_px`, then mirrored."""
        left, top = self._corner(offset)
        square = self.images[i, top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(square[:, ::-1] if flip else square)

    def points(self, i: int, offset: tuple[int, int] = (0, 0), flip: bool = False) -> Float[np.ndarray, "5 2"]:
        """Return the five points of photo `i` in pixels of the same square."""
        points = self.landmarks[i] - np.array(self._corner(offset), np.float32)
        return flip_points(points, self.size) if flip else points

    def _corner(self, offset: tuple[int, int]) -> tuple[int, int]:
        if max(abs(offset[0]), abs(offset[1])) > self.margin_px:
            raise DataError(f"offset {offset} leaves the crop; at most {self.margin_px} px fit its margin")
        return self.margin_px + offset[0], self.margin_px + offset[1]


def prepare(
    source: Source,
    out: Path,
    size: int,
    features: FeatureMaker | None = None,
    progress: Progress | None = None,
    variants: int = 1,
) -> Pack:
    """Write the pack of a source for squares of `size` pixels; a pack that is there already is returned at once.

    `variants` is how many changed forms of each photo get features too (see `keepface.data.variants`).

    Raises:
        DataError: no photo could be used, the size is no multiple of 8, or other work lies half done in the way.
        OutputExistsError: `out` holds something else, or a pack with other settings.
    """
    if size < 16 or size % 8:
        raise DataError(f"size {size}: squares must be a multiple of 8 px, 16 or more")
    dims = features.names() if features else {}
    settings: dict[str, Any] = {"format": FORMAT, "size": size, "side": side_with_margin(size), "entries": len(source)}
    settings |= {"features": dims, "variants": variants if features else 0}
    if out.exists():
        return existing_pack(out, settings)
    unfinished = UnfinishedPack(out, settings)
    entries = source.entries()
    for line, entry in zip(list(unfinished.lines), entries, strict=False):
        _check_same(unfinished, line["origin"], entry.origin)
    while block := list(islice(entries, BLOCK)):
        _append(unfinished, block, features, settings)
        if progress:
            progress(len(unfinished.lines), len(source))
    unfinished.finish()
    return Pack(out)


def existing_pack(out: Path, settings: Mapping[str, Any]) -> Pack:
    """Open the pack that is there already.

    Raises:
        OutputExistsError: it is no pack, or one with other settings.
    """
    if not (out / "table.json").is_file():
        raise OutputExistsError(f"{out}: exists and is no pack; choose another folder")
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    for name, wanted in settings.items():
        if table.get(name) != wanted:
            raise OutputExistsError(
                f"{out}: is a pack with {name} {table.get(name)}, not {wanted}; remove it or choose another folder"
            )
    return Pack(out)


def features_of_forms(
    rows: Sequence[Row], origins: Sequence[str], maker: FeatureMaker, settings: Mapping[str, Any]
) -> Float[np.ndarray, "n w"]:
    """Compute the features of photos and their changed forms, a line of numbers each as `UnfinishedPack` wants it.

    The change of a photo is drawn from its origin alone.
    """
    forms = 1 + settings["variants"]
    squares, landmarks = [], []
    for row, origin in zip(rows, origins, strict=True):
        squares.append(row.image)
        landmarks.append(row.landmarks)
        for variant in range(1, forms):
            changed = change(row.image, row.landmarks, numpy_generator(variant, "variant", origin))
            squares.append(changed.image)
            landmarks.append(changed.landmarks)
    found = maker.features(squares, landmarks)
    for name, dim in settings["features"].items():
        if tuple(found[name].shape) != (len(squares), dim):
            promised = (len(squares), dim)
            raise ValueError(f"feature {name!r} has shape {tuple(found[name].shape)}; its maker promised {promised}")
    numbers = torch.cat([found[name].detach().float().cpu() for name in settings["features"]], dim=1)
    result: np.ndarray = numbers.numpy().reshape(len(rows), -1)
    return result


def _check_same(unfinished: UnfinishedPack, was: str, now: str) -> None:
    """See that the photos done before are those of this source."""
    if was != now:
        raise DataError(f"{unfinished.folder}: was begun with {was}, now it is {now}; remove the folder to begin anew")


def _append(
    unfinished: UnfinishedPack, block: Sequence[Entry], features: FeatureMaker | None, settings: Mapping[str, Any]
) -> None:
    """Read some photos and append them, or why they are left out."""
    side = settings["side"]
    rows, lines = [], []
    for entry in block:
        try:
            rows.append(entry.read())
        except KeepfaceError as error:
            lines.append({"origin": entry.origin, "reason": str(error)})
        else:
            lines.append({"origin": entry.origin, **columns_of(rows[-1], side)})
    if not rows:
        unfinished.append(lines, *unfinished.nothing)
        return
    pixels = np.stack([to_uint8(resize(row.image, (side, side), "bicubic")) for row in rows])
    origins = [line["origin"] for line in lines if "reason" not in line]
    numbers = features_of_forms(rows, origins, features, settings) if features else np.zeros((len(rows), 0), np.float32)
    unfinished.append(lines, pixels, numbers)


def columns_of(row: Row, side: int) -> dict[str, Any]:
    """Return the table's columns for a photo that becomes `side` pixels wide in the pack."""
    factor = side / row.image.shape[-1]
    landmarks = ((row.landmarks + 0.5) * factor - 0.5).round(3).tolist()
    columns = {"identity": row.identity, "source": row.source, "native_px": row.native_px, "inside": row.inside}
    return {**columns, "landmarks": landmarks}
