"""What the guided network learns from: a degraded square, the clean one, and references of the same person or not.

    Ada-RefSR, ICLR 2026: unrelated references in training teach distrust  [Ada-RefSR]

A batch is a pure function of (seed, step). People with several photos are led by other photos of theirs; people with
one photo by that photo, bent and re-toned so that copying pixels in place does not pay.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from keepface.data.copies import SAME_PHOTO, signature
from keepface.degrade.chains import FirstOrderSettings, Settings, as_at, draw, replay
from keepface.degrade.drawn import Step
from keepface.degrade.old_photo import OldPhotoSettings, draw_old_photo
from keepface.degrade.second_order import SecondOrderSettings
from keepface.errors import DataError, RecipeError
from keepface.image.files import from_uint8
from keepface.methods.guided.tones import to_rgb, to_ycc
from keepface.seeds import numpy_generator
from keepface.train.guided.faces import Cut, FaceCrops

OF_PX = 128  # the ranges below count pixels of a square of this side
# Shares of the degradations: Eq. 6 whole, two milder forms of it [FaceMe], and the second-order chain [PFStorer].
FULL = FirstOrderSettings()
MIDDLE = FirstOrderSettings(blur_sigma=(0.2, 4.0), scale=(1.0, 7.0))
MILD = FirstOrderSettings(blur_sigma=(0.1, 1.2), scale=(1.0, 2.0), noise_sigma=(0.0, 6.0), jpeg=(60, 100))
REAL = SecondOrderSettings(of_px=(128.0, 512.0), clean=0.03, motion=0.2, camera=0.25, median=0.1)
MIXTURE: tuple[tuple[float, Settings], ...] = ((0.30, FULL), (0.32, MIDDLE), (0.22, MILD), (0.16, REAL))
SELF_SHIFT, SELF_SCALE, SELF_BEND = 0.025, 0.06, 0.02  # of a photo that serves as its own reference


@dataclass(frozen=True)
class GuidedBatchSettings:
    """How batches are drawn; shares are probabilities."""

    size: int = 128  # side of the squares, px
    references: tuple[float, ...] = (0.3, 0.35, 0.2, 0.15)  # shares of batches with at most 1, 2, 3 ... references
    nobody: float = 0.1  # targets without references
    stranger: float = 0.12  # targets with references of another person  [Ada-RefSR: 0.2]
    one_photo: float = 0.25  # targets of people with one photo
    old_photo: float = 0.15  # targets with the damage of age and print on top
    least_detail: float = 0.8  # targets hold real detail up to this share of `size`
    sources: tuple[str, ...] = ()  # collections that are used; none: all
    shift: float = 0.015  # standard deviations of what alignment is off by: of the side, log scale, radians
    log_scale: float = 0.04
    turn: float = 0.05

    def __post_init__(self) -> None:
        shares = (self.nobody, self.stranger, self.one_photo, self.old_photo, *self.references)
        if not all(0 <= share <= 1 for share in shares) or self.nobody + self.stranger > 1:
            raise RecipeError("[method]: nobody, stranger, one_photo, old_photo and references are shares, from 0 to 1")
        if abs(sum(self.references) - 1) > 1e-6:
            raise RecipeError(f"[method]: the shares of references {self.references} must sum to 1")
        if self.size % 64:
            raise RecipeError(f"[method]: size is {self.size}; it must be a multiple of 64")


@dataclass(frozen=True, eq=False)
class GuidedBatch:
    """Squares RGB, 0..1; what is not there is false in `present`, its pixels 0."""

    clean: Float[Tensor, "b 3 s s"]  # with the tones of the degraded square: grey, faded and dark as that is
    low: Float[Tensor, "b 3 s s"]
    references: Float[Tensor, "b k 3 s s"]
    present: Bool[Tensor, "b k"]
    points: Float[Tensor, "b 5 2"]  # of the clean squares, as shares of the side
    reference_points: Float[Tensor, "b k 5 2"]
    is_person: Bool[Tensor, "b"]  # the references, if there are any, show the person of the square


class GuidedPairs:
    """Draw batches from face crops."""

    def __init__(self, faces: FaceCrops, settings: GuidedBatchSettings) -> None:
        self.faces, self.settings = faces, settings
        allowed = [
            number for number, crop in enumerate(faces.crops) if not settings.sources or crop.source in settings.sources
        ]
        kept = set(allowed)
        sharp = {n for n in allowed if faces.crops[n].detail_px >= settings.least_detail * settings.size}
        people = [[n for n in photos if n in kept] for photos in faces.people.values()]
        self._several = [photos for photos in people if len(photos) > 1 and sharp & set(photos)]
        self._targets = [[n for n in photos if n in sharp] for photos in self._several]
        self._single = [photos[0] for photos in people if len(photos) == 1 and photos[0] in sharp]
        self._all = allowed
        if not self._several and not self._single:
            raise DataError(f"no photo here has real detail for squares of {settings.size} px")
        weights = np.array([math.sqrt(min(len(photos), 6)) for photos in self._several])
        self._weights = np.cumsum(weights / weights.sum()) if len(weights) else weights

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many people have several photos, and how many one, that can be targets."""
        return len(self._several), len(self._single)

    def batch(self, step: int, size: int, seed: int) -> GuidedBatch:
        """Draw the batch of a step."""
        rng = numpy_generator(seed, "guided", step)
        most = 1 + int(rng.choice(len(self.settings.references), p=self.settings.references))
        items = [self._item(numpy_generator(seed, "guided", step, place), most) for place in range(size)]
        return GuidedBatch(*(torch.stack(part) for part in zip(*items, strict=True)))

    def _item(self, rng: np.random.Generator, most: int) -> tuple[Tensor, ...]:
        settings, size = self.settings, self.settings.size
        target, photos = self._person(rng)
        square, points = self.faces.square(target, size, self._cut(rng, settings.shift, settings.log_scale))
        kind = rng.random()
        is_stranger = kind < settings.stranger
        has_nobody = not is_stranger and kind < settings.stranger + settings.nobody
        count = 0 if has_nobody else int(rng.integers(1, most + 1))
        clean = from_uint8(square)
        references = torch.zeros(most, 3, size, size)
        present = torch.zeros(most, dtype=torch.bool)
        places = torch.zeros(most, 5, 2)
        for place, (pixels, at) in enumerate(self._references(rng, target, square, photos, count, is_stranger)):
            references[place], places[place], present[place] = from_uint8(pixels), torch.from_numpy(at), True
        draws = draw_damage(rng, size, settings.old_photo)
        low, toned = replay(draws.damage, replay(draws.tones, clean)), replay(draws.tones, clean)
        own = torch.from_numpy(points)
        return toned, low, references, present, own, places, torch.tensor(not is_stranger)

    def _person(self, rng: np.random.Generator) -> tuple[int, list[int]]:
        """Draw a target and the photos of its person."""
        single = rng.random() < self.settings.one_photo
        if (single and self._single) or not self._several:
            target = self._single[int(rng.integers(len(self._single)))]
            return target, [target]
        place = min(int(np.searchsorted(self._weights, rng.random())), len(self._several) - 1)
        targets = self._targets[place]
        return targets[int(rng.integers(len(targets)))], self._several[place]

    def _cut(self, rng: np.random.Generator, shift: float, log_scale: float) -> Cut:
        x, y = rng.normal(0, shift, 2)
        turn = rng.normal(0, self.settings.turn)
        return Cut((float(x), float(y)), float(rng.normal(0, log_scale)), float(turn), bool(rng.random() < 0.5))

    def _references(
        self,
        rng: np.random.Generator,
        target: int,
        square: np.ndarray,
        photos: list[int],
        count: int,
        is_stranger: bool,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Draw a target's references; a photo that is the target's own, or a copy of it, is bent and re-toned."""
        settings, size = self.settings, self.settings.size
        others = [number for number in photos if number != target]
        rng.shuffle(others)
        chosen = self._strangers(rng, photos, count) if is_stranger else others[:count] or [target] * min(count, 2)
        drawn = []
        mark = signature(square)
        for number in chosen:
            is_own = number == target
            cut = self._cut(rng, SELF_SHIFT if is_own else settings.shift, SELF_SCALE if is_own else settings.log_scale)
            pixels, points = self.faces.square(number, size, cut)
            is_copy = not is_stranger and any(
                float(mark @ signature(np.ascontiguousarray(form))) > SAME_PHOTO for form in (pixels, pixels[:, ::-1])
            )
            if is_own or is_copy:
                pixels = bend(retone(pixels, rng), rng, SELF_BEND)
            elif rng.random() < 0.25:
                pixels = retone(pixels, rng)
            drawn.append((pixels, points))
        return drawn

    def _strangers(self, rng: np.random.Generator, photos: list[int], count: int) -> list[int]:
        """Draw one other person and take up to `count` of their photos."""
        while (other := self._all[int(rng.integers(len(self._all)))]) in photos:
            pass
        kept = set(self._all)
        theirs = [n for n in self.faces.people[self.faces.crops[other].identity] if n in kept and n != other]
        return [other, *theirs][:count]


@dataclass(frozen=True)
class Damage:
    """What is done to a target: tones, which its clean square is given as well, and what is to be restored."""

    tones: tuple[Step, ...]
    damage: tuple[Step, ...]


def draw_damage(rng: np.random.Generator, size: int, old_photo: float) -> Damage:
    """Draw one of the mixture's chains, scaled to squares of `size`, and, with a share, what age and print do."""
    tones: tuple[Step, ...] = ()
    before: tuple[Step, ...] = ()
    if rng.random() < old_photo:
        tones, before = draw_old_photo(OldPhotoSettings(), rng, size)
    at, total = rng.random(), 0.0
    chosen = MIXTURE[-1][1]
    for share, settings in MIXTURE:
        total += share
        if at < total:
            chosen = settings
            break
    if isinstance(chosen, FirstOrderSettings):
        chosen = scaled(chosen, size)
    return Damage(tones, (*before, *draw(chosen, rng, size)))


def scaled(settings: FirstOrderSettings, size: int) -> FirstOrderSettings:
    """Return a chain as hard for squares of `size` as it is for those of 128 px, down to no shrinking at all."""
    told = as_at(settings, OF_PX, size)
    assert isinstance(told, FirstOrderSettings)
    return told if told.of_px else replace(told, scale=(1.0, told.scale[1]))


def retone(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change light and colour as another day and camera would; one in ten becomes grey."""
    gain, offset = rng.uniform(0.8, 1.2), rng.uniform(-15, 15)
    colours = rng.uniform(0.93, 1.07, 3)
    changed = pixels.astype(np.float32)
    if rng.random() < 0.1:
        changed = changed.mean(2, keepdims=True).repeat(3, 2)
    ycc = to_ycc(torch.from_numpy((changed - 128) * gain * colours + 128 + offset).float().permute(2, 0, 1))
    ycc[1:] *= rng.uniform(0.6, 1.3)
    again: np.ndarray = to_rgb(ycc).permute(1, 2, 0).numpy()
    return np.clip(again, 0, 255).astype(np.uint8)


def bend(pixels: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Bend a square smoothly; `amount` is the standard deviation of its 4 x 4 control points, of the side."""
    side = len(pixels)
    field = rng.normal(0, amount * side, (4, 4, 2)).astype(np.float32)
    move = cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    bent: np.ndarray = cv2.remap(
        pixels, x + move[..., 0], y + move[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return bent
