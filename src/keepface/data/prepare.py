"""Photos to a pack: one file of pixels that training reads at random, one table, one file of identity features.

A pack is a folder:
    images.npy            n S S 3 uint8, S = even round(1.2 size); the central size x size is the FFHQ square
    table.json            size, side, and the columns identity, source, native_px, inside, landmarks; what was left out
    features.safetensors  per feature (1 + variants) n d float32: of the photo as it is, then of changed forms of it
It is written aside, photo by photo, in `.<name>.part`; the same command goes on where it was stopped.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from keepface.data.shards import MARGIN, Entry, LeftOut, Row, Source
from keepface.data.variants import change, flip_points
from keepface.errors import DataError, KeepfaceError, OutputExistsError
from keepface.image.files import to_uint8
from keepface.image.size import resize
from keepface.seeds import numpy_generator
from keepface.weights.store import read_safetensors, write_safetensors

FORMAT = 1
Progress = Callable[[int, int], None]  # photos done, photos in all


@runtime_checkable
class FeatureMaker(Protocol):
    """Whoever turns a crop into identity features; asked once for the photo and once for each changed form."""

    def names(self) -> dict[str, int]:
        """Say what the features are called and how long each is."""
        ...

    def features(
        self, square_with_margin: Float[Tensor, "3 s s"], landmarks: Float[np.ndarray, "5 2"]
    ) -> dict[str, Tensor]:
        """Compute the features of one crop; `landmarks` are its five (x, y) points in pixels."""
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
        DataError: no photo could be used, or the size is no multiple of 8.
        OutputExistsError: `out` holds something else, or a pack with other settings.
    """
    if size < 16 or size % 8:
        raise DataError(f"size {size}: squares must be a multiple of 8 px, 16 or more")
    dims = features.names() if features else {}
    settings: dict[str, Any] = {"format": FORMAT, "size": size, "side": side_with_margin(size), "entries": len(source)}
    settings |= {"features": dims, "variants": variants if features else 0}
    if out.exists():
        return _existing(out, settings)
    unfinished = _Unfinished(out, settings)
    done = len(unfinished)
    for number, entry in enumerate(source.entries()):
        if number < done:
            unfinished.check(number, entry)
        else:
            unfinished.add(entry, features)
        if progress:
            progress(number + 1, len(source))
    unfinished.finish()
    return Pack(out)


def _existing(out: Path, settings: Mapping[str, Any]) -> Pack:
    if not (out / "table.json").is_file():
        raise OutputExistsError(f"{out}: exists and is no pack; choose another folder")
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    for name, wanted in settings.items():
        if table.get(name) != wanted:
            raise OutputExistsError(
                f"{out}: is a pack with {name} {table.get(name)}, not {wanted}; remove it or choose another folder"
            )
    return Pack(out)


class _Unfinished:
    """A pack on its way: pixels and features are appended, then one line of the journal says they are whole."""

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        self._out = out
        self._settings = settings
        self._folder = out.with_name(f".{out.name}.part")
        self._image_bytes = settings["side"] ** 2 * 3
        self._width = (1 + settings["variants"]) * sum(settings["features"].values())
        if self._path("settings.json").is_file() and json.loads(self._path("settings.json").read_text()) == settings:
            self._lines = list(self._journal())
        else:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            self._path("settings.json").write_text(json.dumps(settings))
            self._lines = []
        self._rows = sum("reason" not in line for line in self._lines)
        self._rewind()

    def __len__(self) -> int:
        return len(self._lines)

    def check(self, number: int, entry: Entry) -> None:
        """See that the photos done before are those of this source."""
        if self._lines[number]["origin"] != entry.origin:
            raise DataError(
                f"{self._folder}: was begun with {self._lines[number]['origin']} as photo {number + 1}, "
                f"now it is {entry.origin}; remove the folder to begin anew"
            )

    def add(self, entry: Entry, features: FeatureMaker | None) -> None:
        """Read one photo and append it, or why it is left out."""
        try:
            row = entry.read()
            numbers = _all_features(row, entry.origin, features, self._settings) if features else None
        except KeepfaceError as error:
            self._write_line({"origin": entry.origin, "reason": str(error)})
            return
        side = self._settings["side"]
        factor = side / row.image.shape[-1]
        with self._path("images.npy").open("ab") as file:
            file.write(to_uint8(resize(row.image, (side, side), "bicubic")).tobytes())
        if numbers is not None:
            with self._path("features.raw").open("ab") as file:
                file.write(numbers.tobytes())
        columns = {"identity": row.identity, "source": row.source, "native_px": row.native_px, "inside": row.inside}
        landmarks = ((row.landmarks + 0.5) * factor - 0.5).round(3).tolist()
        self._write_line({"origin": entry.origin, **columns, "landmarks": landmarks})
        self._rows += 1

    def finish(self) -> None:
        """Complete the files and give the folder its name."""
        kept = [line for line in self._lines if "reason" not in line]
        left_out = [(line["origin"], line["reason"]) for line in self._lines if "reason" in line]
        if not kept:
            first = "; ".join(f"{origin}: {reason}" for origin, reason in left_out[:3])
            raise DataError(f"{self._out}: none of {len(left_out)} photos can be used: {first or 'there are none'}")
        with self._path("images.npy").open("r+b") as file:
            file.write(_header(len(kept), self._settings["side"]))
        if self._width:
            write_safetensors(self._features(len(kept)), self._path("features.safetensors"), {})
        names = ("identity", "source", "native_px", "inside", "landmarks")
        table = self._settings | {name: [line[name] for line in kept] for name in names} | {"left_out": left_out}
        self._path("table.json").write_text(json.dumps(table), encoding="utf-8")
        for name in ("journal.jsonl", "features.raw", "settings.json"):
            self._path(name).unlink(missing_ok=True)
        os.replace(self._folder, self._out)

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _journal(self) -> Iterator[dict[str, Any]]:
        if not self._path("journal.jsonl").exists():
            return
        for line in self._path("journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("\n"):
                return  # stopped in the middle of it
            yield json.loads(line)

    def _rewind(self) -> None:
        """Cut off what the journal does not vouch for."""
        header = _header(0, self._settings["side"])
        images = self._path("images.npy")
        if not images.exists():
            images.write_bytes(header)
        os.truncate(images, len(header) + self._rows * self._image_bytes)
        if self._width:
            self._path("features.raw").touch()
            os.truncate(self._path("features.raw"), self._rows * self._width * 4)
        text = "".join(json.dumps(line) + "\n" for line in self._lines)
        self._path("journal.jsonl").write_text(text, encoding="utf-8")

    def _write_line(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        with self._path("journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _features(self, rows: int) -> dict[str, Tensor]:
        forms = 1 + self._settings["variants"]
        raw = np.fromfile(self._path("features.raw"), np.float32).reshape(rows, forms, -1)
        ends = np.cumsum(list(self._settings["features"].values()))[:-1]
        parts = [torch.from_numpy(part).transpose(0, 1) for part in np.split(raw, ends, axis=2)]  # each v n d
        return dict(zip(self._settings["features"], parts, strict=True))


def _all_features(row: Row, origin: str, maker: FeatureMaker, settings: Mapping[str, Any]) -> Float[np.ndarray, "v d"]:
    """Compute the features of a photo and of its changed forms, one row each."""
    rows = []
    for variant in range(1 + settings["variants"]):
        image, landmarks = row.image, row.landmarks
        if variant:
            changed = change(image, landmarks, numpy_generator(variant, "variant", origin))
            image, landmarks = changed.image, changed.landmarks
        found = maker.features(image, landmarks)
        for name, dim in settings["features"].items():
            if tuple(found[name].shape) != (dim,):
                raise ValueError(f"feature {name!r} has shape {tuple(found[name].shape)}; its maker promised ({dim},)")
        rows.append(torch.cat([found[name].detach().float().cpu() for name in settings["features"]]).numpy())
    return np.stack(rows)


def _header(rows: int, side: int) -> bytes:
    """Write the head of an .npy file by hand, as long for no rows as for many, so that it can be completed last."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, {side}, {side}, 3), }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117).encode("latin-1") + b"\n"
