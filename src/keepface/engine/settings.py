"""What one may choose from call to call when a photo is restored."""

import math
from dataclasses import dataclass
from typing import Literal

from keepface.engine.choice import Choice
from keepface.errors import RecipeError

MAX_SCALE = 20  # times as long as before [PFStorer]


@dataclass(frozen=True)
class RestoreSettings:
    """How to restore; the defaults suit a photo nothing is known of."""

    steps: int | None = None  # sampling steps; None: of unipc as many as suit the family, of the others 50
    sampler: Literal["unipc", "ddim", "ddpm"] = "unipc"
    guidance: float | None = None  # classifier-free guidance; None: the method's own
    temperature: float | None = None  # share of the start noise, 0..1; less invents less; None: the family's own
    fidelity: float | None = None  # 0 draws the face anew, led by the photo; towards 1 the photo is hardly changed;
    #   None: the family's own
    clean: bool | None = None  # the family's pre-cleaner takes noise, blocks and blur out of the low face first;
    #   None: if that is how the family learned the method; whole pictures by tiles never
    structure: Literal["photo", "guided"] = "photo"  # what sampling starts from: the photo, or what `guided` makes of
    #   it; for methods that sample from the degraded face
    identity: float = 1.0  # strength of the references, 0 (as if there were none) to 1
    colour: Literal["wavelet", "adain", "none"] = "wavelet"  # how the low picture's colours are given back
    strict: bool = False  # refuse where a doubtful reference would be left out
    same_person_floor: float | None = None  # cosine to the references below which a face is somebody else's
    #   (conditioning recogniser); None: as high as the photo's clarity allows, see likeness.py
    keep_grey: bool = True  # a grey photo stays grey
    keep_worse: bool = False  # also paste faces that became less like the references, instead of leaving them alone
    harmonise: bool = True  # give restored faces the photo's grain, and no more sharpness than goes with the rest
    choice: Choice = Choice()  # which faces are restored, and what is their own
    max_faces: int = 50  # a photo with more is refused
    tile: bool | None = None  # restore the whole picture by tiles; None: as the method needs, and for another size
    scale: float = 1.0  # times as long as the photo's sides, 1 to 20; only by tiles
    size: tuple[int, int] | None = None  # height and width in pixels, instead of a scale; only by tiles
    tile_overlap: float = 0.5  # share of a tile's side that its neighbour covers too; less is faster
    tile_batch: int = 4  # tiles in the networks at once; the picture does not depend on it
    max_pixels: int = 64_000_000  # a larger result is refused; only by tiles

    def __post_init__(self) -> None:
        floor = self.same_person_floor
        limits = {
            "steps": (1 if self.steps is None else self.steps, 1, 1000),
            "guidance": (1.0 if self.guidance is None else self.guidance, 0, 100),
            "temperature": (1.0 if self.temperature is None else self.temperature, 0, 1),
            "fidelity": (0.0 if self.fidelity is None else self.fidelity, 0, 1),
            "identity": (self.identity, 0, 1),
            "same_person_floor": (0.0 if floor is None else floor, -1, 1),
            "max_faces": (self.max_faces, 1, math.inf),
            "scale": (self.scale, 1, MAX_SCALE),
            "size": (min(self.size or (1,)), 1, math.inf),
            "tile_overlap": (self.tile_overlap, 0, 0.9),
            "tile_batch": (self.tile_batch, 1, math.inf),
            "max_pixels": (self.max_pixels, 1, math.inf),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                wanted = f"from {least} to {most}" if math.isfinite(most) else f"{least} or more"
                raise RecipeError(f"{name} is {value}; it must be {wanted}")
        if self.size is not None and self.scale != 1:
            raise RecipeError(f"scale is {self.scale} and size is {self.size}; give one of them")
        if self.tile is False and self.changes_size:
            raise RecipeError("another size is made by tiles alone; leave out --no-tile, or --scale")

    @property
    def changes_size(self) -> bool:
        """Tell whether another size than the photo's is asked for."""
        return self.scale != 1 or self.size is not None
