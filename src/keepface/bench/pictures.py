"""The pictures of a run: those of the first people are kept, and laid out side by side in one grid a preset."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.lines import Line
from keepface.bench.plan import Target
from keepface.image.files import Photo, read_photo, write_photo

GAP_PX = 4  # white between pictures
Square = Callable[[int], Float[Tensor, "3 s s"]]


class Pictures:
    """The folder `pictures` of a run: `<preset>/<line>/<number>.png`, numbered as people come in the plan."""

    def __init__(self, out: Path, people: int, keeps_all: bool = False) -> None:
        self.out, self.people, self._keeps_all = out, people, keeps_all

    def keep(self, preset: str, line: str, place: int, picture: Float[Tensor, "3 s s"]) -> None:
        """Write one restored square, if its person is among those shown or all are kept."""
        if self._keeps_all or place < self.people:
            path = self._path(preset, line, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(picture, path)

    def folder(self, preset: str, line: str) -> Path:
        """Return where the pictures of a line are."""
        return self.out / "pictures" / preset / re.sub(r"[^\w.]+", "-", line).strip("-.")

    def _path(self, preset: str, line: str, place: int) -> Path:
        return self.folder(preset, line) / f"{place:03}.png"

    def grids(
        self, presets: Sequence[str], lines: Sequence[Line], targets: Sequence[Target], square: Square
    ) -> dict[str, tuple[Path, tuple[str, ...]]]:
        """Write a grid for each preset; return its path and what its columns hold, from left to right.

        A row of the grid is a person: the truth, the first reference, then each line's picture, white where there is
        none. A line without any picture has no column.
        """
        shown = targets[: self.people]
        found = {}
        for preset in presets if shown else ():
            drawn = [
                line for line in lines if any(self._path(preset, line.name, i).exists() for i in range(len(shown)))
            ]
            columns = ("truth", "a reference", *(line.name for line in drawn))
            rows = []
            for place, target in enumerate(shown):
                given = [square(target.photo), square(target.references[0])]
                blank = torch.ones_like(given[0])
                paths = [self._path(preset, line.name, place) for line in drawn]
                made = [read_photo(path).pixels if path.exists() else blank for path in paths]
                rows.append(given + made)
            path = self.out / f"grid-{preset}.png"
            _write(grid(rows), path)
            found[preset] = (path, columns)
        return found


def grid(lines: Sequence[Sequence[Float[Tensor, "3 s s"]]]) -> Float[Tensor, "3 h w"]:
    """Lay squares of one size out in lines and columns, white between them."""
    side = lines[0][0].shape[-1]
    pitch = side + GAP_PX
    sheet = torch.ones(3, len(lines) * pitch - GAP_PX, len(lines[0]) * pitch - GAP_PX)
    for y, line in enumerate(lines):
        for x, picture in enumerate(line):
            sheet[:, y * pitch : y * pitch + side, x * pitch : x * pitch + side] = picture
    return sheet


def _write(pixels: Float[Tensor, "3 h w"], path: Path) -> None:
    write_photo(Photo(pixels.clamp(0, 1)), path, force=True)
