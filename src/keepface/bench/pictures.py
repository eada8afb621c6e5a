"""The pictures of a run: those of the first people are kept, and laid out side by side in one grid a preset."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.suite import Suite, Target
from keepface.image.files import Photo, read_photo, write_photo

GAP_PX = 4  # white between pictures
Square = Callable[[int], Float[Tensor, "3 s s"]]


class Pictures:
    """The folder `pictures` of a run: `<preset>/<row>/<number>.png`, numbered as people come in the plan."""

    def __init__(self, out: Path, people: int) -> None:
        self.out, self.people = out, people

    def keep(self, preset: str, row: str, place: int, picture: Float[Tensor, "3 s s"]) -> None:
        """Write one restored square, if its person is among those shown."""
        if place < self.people:
            path = self._path(preset, row, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(picture, path)

    def grids(self, suite: Suite, targets: Sequence[Target], square: Square) -> dict[str, tuple[Path, tuple[str, ...]]]:
        """Write a grid for each preset; return its path and what its columns hold, from left to right.

        A line is a person: the truth, the first reference, then each row's picture, white where there is none.
        """
        shown = targets[: self.people]
        columns = ("truth", "a reference", *(row.name for row in suite.rows))
        found = {}
        for preset in suite.presets if shown else ():
            lines = []
            for place, target in enumerate(shown):
                given = [square(target.photo), square(target.references[0])]
                blank = torch.ones_like(given[0])
                paths = [self._path(preset, row.name, place) for row in suite.rows]
                made = [read_photo(path).pixels if path.exists() else blank for path in paths]
                lines.append(given + made)
            path = self.out / f"grid-{preset}.png"
            _write(grid(lines), path)
            found[preset] = (path, columns)
        return found

    def _path(self, preset: str, row: str, place: int) -> Path:
        return self.out / "pictures" / preset / row.replace(" ", "-") / f"{place:03}.png"


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
    photo = Photo(
        pixels=pixels.clamp(0, 1),
        alpha=None,
        bit_depth=8,
        is_grey=False,
        icc=None,
        exif=None,
        dpi=None,
        source=path.name,
    )
    write_photo(photo, path, force=True)
