"""A pack on its way: written aside, so that it appears whole or not at all and work goes on where it was stopped."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from keepface.errors import DataError
from keepface.weights.store import write_safetensors

COLUMNS = ("identity", "source", "native_px", "inside", "landmarks")
Line = Mapping[str, Any]


class UnfinishedPack:
    """Pixels and features are appended, then lines of the journal say they are whole.

    A line is a photo of the pack when it has its columns; else it tells of one that did not make it, and why.
    Made anew with the same settings it goes on after its last line.

    Raises:
        DataError: what lies there was begun with other settings.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self._out, self._settings = out, dict(settings)
        self.folder = out.with_name(f".{out.name}.part")
        self._image_bytes = settings["side"] ** 2 * 3
        self._width = (1 + settings["variants"]) * sum(settings["features"].values())
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_settings()
        self.lines = list(self._journal())
        self._rewind(sum(is_photo(line) for line in self.lines))

    def append(
        self, lines: Sequence[Line], pixels: UInt8[np.ndarray, "n S S 3"], features: Float[np.ndarray, "n w"]
    ) -> None:
        """Append lines with the pixels and features of the photos among them.

        A row of features holds those of the photo as it is, in the order of the settings, then of its changed forms.
        """
        for name, array in (("images.npy", pixels), ("features.raw", features.astype(np.float32, copy=False))):
            if array.size:
                with self._path(name).open("ab") as file:
                    file.write(np.ascontiguousarray(array).tobytes())
        self.lines.extend(dict(line) for line in lines)
        with self._path("journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(_text(lines))

    def finish(self) -> None:
        """Complete the files and give the folder its name.

        Raises:
            DataError: no photo could be used.
        """
        kept = [line for line in self.lines if is_photo(line)]
        left_out = [(line["origin"], line["reason"]) for line in self.lines if "reason" in line]
        if not kept:
            first = "; ".join(f"{origin}: {reason}" for origin, reason in left_out[:3])
            raise DataError(f"{self._out}: none of {len(left_out)} photos can be used: {first or 'there are none'}")
        with self._path("images.npy").open("r+b") as file:
            file.write(_header(len(kept), self._settings["side"]))
        if self._width:
            write_safetensors(self._features(len(kept)), self._path("features.safetensors"), {})
        table = self._settings | {name: [line[name] for line in kept] for name in COLUMNS} | {"left_out": left_out}
        self._path("table.json").write_text(json.dumps(table), encoding="utf-8")
        for name in ("journal.jsonl", "features.raw", "settings.json"):
            self._path(name).unlink(missing_ok=True)
        os.replace(self.folder, self._out)

    @cached_property
    def nothing(self) -> tuple[UInt8[np.ndarray, "0 S S 3"], Float[np.ndarray, "0 w"]]:
        """Return the pixels and features of no photo, for lines that are none."""
        side = self._settings["side"]
        return np.zeros((0, side, side, 3), np.uint8), np.zeros((0, self._width), np.float32)

    def _path(self, name: str) -> Path:
        return self.folder / name

    def _check_settings(self) -> None:
        path, text = self._path("settings.json"), json.dumps(self._settings)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        if self._path("journal.jsonl").exists():
            raise DataError(f"{self.folder}: was begun with other settings; remove this folder to begin anew")
        path.write_text(text, encoding="utf-8")

    def _journal(self) -> Iterator[dict[str, Any]]:
        if not self._path("journal.jsonl").exists():
            return
        for line in self._path("journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("\n"):
                return  # stopped in the middle of it
            yield json.loads(line)

    def _rewind(self, rows: int) -> None:
        """Cut off what the journal does not vouch for."""
        header = _header(0, self._settings["side"])
        images = self._path("images.npy")
        if not images.exists():
            images.write_bytes(header)
        with images.open("r+b") as file:
            file.write(header)  # one of a pack that was stopped while it was completed has its rows in it
        os.truncate(images, len(header) + rows * self._image_bytes)
        if self._width:
            self._path("features.raw").touch()
            os.truncate(self._path("features.raw"), rows * self._width * 4)
        self._path("journal.jsonl").write_text(_text(self.lines), encoding="utf-8")

    def _features(self, rows: int) -> dict[str, Tensor]:
        forms = 1 + self._settings["variants"]
        raw = np.fromfile(self._path("features.raw"), np.float32).reshape(rows, forms, -1)
        ends = np.cumsum(list(self._settings["features"].values()))[:-1]
        parts = [torch.from_numpy(part).transpose(0, 1) for part in np.split(raw, ends, axis=2)]  # each v n d
        return dict(zip(self._settings["features"], parts, strict=True))


def is_photo(line: Line) -> bool:
    """Say whether a line of the journal is a photo of the pack."""
    return COLUMNS[0] in line


def _text(lines: Sequence[Line]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def _header(rows: int, side: int) -> bytes:
    """Write the head of an .npy file by hand, as long for no rows as for many, so that it can be completed last."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, {side}, {side}, 3), }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117).encode("latin-1") + b"\n"
