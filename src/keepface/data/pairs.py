"""Clean to (low, clean, references): the batches a restorer learns from.

Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]
Fang et al. 2025, "Robust ID-specific face restoration via alignment learning"  [RIDFR]
Wang et al. 2024, "Exploiting diffusion prior for real-world image super-resolution"  [StableSR]

A batch is a pure function of (step, seed), so a run that resumes at step n sees what it would have seen. `plan` draws
everything that is random and touches no pixel; `batch` carries the plan out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepface.data.copies import SAME_PHOTO, find_copies
from keepface.data.identities import by_person, real_references
from keepface.data.prepare import Pack
from keepface.data.variants import flip_points
from keepface.degrade.chains import FirstOrderSettings, Settings, draw, replay_batch
from keepface.degrade.drawn import Step
from keepface.errors import DataError
from keepface.image.files import from_uint8
from keepface.image.size import resize
from keepface.seeds import derive, numpy_generator

Crop = Literal["aligned", "random"]
SYNTHETIC = "synthetic"  # the source of photos that are references and never targets


@dataclass(frozen=True)
class PairSettings:
    """How targets, their references and their degradation are drawn."""

    degradations: tuple[Settings, ...] = (FirstOrderSettings(),)  # each target draws one of them
    min_references: int = 1  # a batch has this many at least
    max_references: int = 4  # and this many at most, the same for all its targets [FaceMe, Experimental Setup]
    min_others: int = 0  # > 0: only people with so many other photos are targets, and only they lead them [RIDFR]
    own_in_pool: bool = True  # the clean photo's own features are among the references it may draw [FaceMe]
    identity_dropout: float = 0.0  # share without identity; 0.5 in FaceMe's second stage
    dropout_per: Literal["batch", "sample"] = "batch"  # FaceMe draws it once a batch
    flip: float = 0.5  # share of mirrored targets  # ours: FaceMe mirrors none
    shift_px: int = 4  # a target's square is moved by up to this, within its margin  # ours
    crop: Crop = "aligned"  # "random": squares of any side from the sampler's size to the pack's, at any place, made as
    #   small as the sampler's size; for methods that need no aligned faces; shift_px is not used then [StableSR]
    same_photo: float = SAME_PHOTO  # photos of a person this alike are copies of one  # ours, see copies.py
    min_native_px: float = 0.0  # targets whose crop has fewer real pixels are passed over


@dataclass(frozen=True)
class Target:
    """Everything drawn for one target of a batch."""

    photo: int  # its number in the pack
    offset: tuple[int, int]  # (x, y) px
    flip: bool
    draw: tuple[Step, ...]  # its degradation
    references: tuple[int, ...]  # rows of the features: variant * photos + photo; variant 0 is the photo as it is
    is_dropped: bool  # trained without identity
    cut: tuple[int, int, int] | None = None  # (left, top, side) px of the pack's crop, instead of the offset


@dataclass(frozen=True, eq=False)
class PairBatch:
    """One batch: pictures RGB, 0 to 1; target i has the same place in every field."""

    plan: tuple[Target, ...]
    clean: Float[Tensor, "b 3 s s"]
    low: Float[Tensor, "b 3 s s"]
    features: dict[str, Float[Tensor, "b n d"]]  # of n references each; empty when the pack has none
    is_dropped: Bool[Tensor, "b"]
    is_own: Bool[Tensor, "b n"]  # this reference shows the target's own photo: itself, a copy, a changed form
    detail_px: Float[Tensor, "b"]  # side of the square in pixels of the original photo: its real detail
    landmarks: Float[Tensor, "b 5 2"]  # (x, y) px of the square


class PairSampler:
    """Draw batches from a pack; holds no state of its own, so a step can be asked for in any order, by any thread.

    Args:
        size: side of the squares in pixels; `None` is the pack's own.

    Raises:
        DataError: the pack's squares can't be cut to this size, or hold nothing to train on.
    """

    def __init__(self, pack: Pack, settings: PairSettings, size: int | None = None) -> None:
        self.size = pack.size if size is None else size
        check_size(pack, self.size, settings.crop)
        if settings.shift_px > pack.margin_px:
            raise DataError(f"shift_px is {settings.shift_px}; the pack's margin of {pack.margin_px} px is the most")
        self.pack = pack
        self.settings = settings
        self.forms = next(iter(pack.features.values())).shape[0] if pack.features else 1
        people = by_person(pack.identities)
        self.targets = tuple(
            index
            for index, source in enumerate(pack.sources)
            if source != SYNTHETIC and pack.native_px[index] >= settings.min_native_px
        )
        if not self.targets:
            raise DataError(f"{pack.folder}: no photo has {settings.min_native_px} real pixels; nothing to train on")
        self._first = find_copies(people, pack.square, settings.same_photo)
        self._pools = {photo: self._pool(people, photo) for photo in self.targets}
        self.targets = tuple(photo for photo, pool in self._pools.items() if pool)
        if not self.targets:
            raise DataError(
                f"{pack.folder}: nobody has {settings.min_others + 1} different photos; add photos of the same people"
            )
        self._flat = {name: values.flatten(0, 1) for name, values in pack.features.items()}  # v*n d

    def own_share(self) -> float:
        """Return the expected share of references that show the target's own photo: itself, a copy, a changed form."""
        return float(np.mean([self._is_own(np.array(pool), photo).mean() for photo, pool in self._pools.items()]))

    def plan(self, step: int, size: int, seed: int) -> tuple[Target, ...]:
        """Draw the `size` targets of a step: each epoch is a permutation of all targets, steps run through it."""
        rng = numpy_generator(seed, "pairs", step)
        count = int(rng.integers(self.settings.min_references, self.settings.max_references + 1))
        is_batch_dropped = rng.random() < self.settings.identity_dropout
        return tuple(
            self._target(photo, count, is_batch_dropped, np.random.default_rng(derive(seed, "pair", step, place)))
            for place, photo in enumerate(self._photos(step, size, seed))
        )

    def clean(self, plan: Sequence[Target]) -> Float[Tensor, "b 3 s s"]:
        """Cut the clean squares of a plan."""
        return torch.stack([self._square(target) for target in plan])

    def batch(self, step: int, size: int, seed: int) -> PairBatch:
        """Make the batch of a step; the same (step, size, seed) is the same batch, bit for bit."""
        plan = self.plan(step, size, seed)
        clean = self.clean(plan)
        rows = torch.tensor([target.references for target in plan])  # b n
        photos = torch.tensor([target.photo for target in plan])
        points = np.stack([self._points(target) for target in plan])
        own = np.stack([self._is_own(np.array(target.references), target.photo) for target in plan])
        native_px = torch.from_numpy(self.pack.native_px)[photos]  # of the whole crop
        sides = torch.tensor([self.pack.size if target.cut is None else target.cut[2] for target in plan])
        return PairBatch(
            plan=plan,
            clean=clean,
            low=replay_batch([target.draw for target in plan], clean),
            features={name: values[rows] for name, values in self._flat.items()},
            is_dropped=torch.tensor([target.is_dropped for target in plan]),
            is_own=torch.from_numpy(own),
            detail_px=native_px * (sides / self.pack.side),
            landmarks=torch.from_numpy(points).float(),
        )

    def _photos(self, step: int, size: int, seed: int) -> list[int]:
        """Take the step's stretch of the endless row of permutations."""
        targets = np.array(self.targets)
        first, last = step * size, (step + 1) * size
        epochs = range(first // len(targets), (last - 1) // len(targets) + 1)
        row = np.concatenate([numpy_generator(seed, "epoch", epoch).permutation(targets) for epoch in epochs])
        start = first - epochs[0] * len(targets)
        photos: list[int] = row[start : start + size].tolist()
        return photos

    def _target(self, photo: int, count: int, is_batch_dropped: bool, rng: np.random.Generator) -> Target:
        settings = self.settings
        cut: tuple[int, int, int] | None = None
        shift_x, shift_y = 0, 0
        if settings.crop == "random":
            cut = draw_cut(rng, self.size, self.pack.size, self.pack.side)
        else:
            shift_x, shift_y = rng.integers(-settings.shift_px, settings.shift_px + 1, 2)
        is_dropped = rng.random() < settings.identity_dropout
        return Target(
            photo=photo,
            offset=(int(shift_x), int(shift_y)),
            flip=bool(rng.random() < settings.flip),
            references=draw_references(self._pools[photo], count, settings.max_references, rng),
            is_dropped=bool(is_batch_dropped if settings.dropout_per == "batch" else is_dropped),
            draw=draw(self._degradation(rng), rng, self.size),
            cut=cut,
        )

    def _square(self, target: Target) -> Float[Tensor, "3 s s"]:
        if target.cut is None:
            return from_uint8(self.pack.square(target.photo, target.offset, target.flip))
        left, top, side = target.cut
        pixels = self.pack.images[target.photo, top : top + side, left : left + side]
        square = from_uint8(np.ascontiguousarray(pixels[:, ::-1] if target.flip else pixels))
        return resize(square, (self.size, self.size), "bicubic")

    def _points(self, target: Target) -> Float[np.ndarray, "5 2"]:
        if target.cut is None:
            return self.pack.points(target.photo, target.offset, target.flip)
        left, top, side = target.cut
        inside = self.pack.landmarks[target.photo] - np.array([left, top], np.float32)
        points = (inside + 0.5) * (self.size / side) - 0.5
        return flip_points(points, self.size) if target.flip else points

    def _degradation(self, rng: np.random.Generator) -> Settings:
        among = self.settings.degradations
        return among[int(rng.integers(len(among)))] if len(among) > 1 else among[0]

    def _pool(self, people: dict[str, tuple[int, ...]], photo: int) -> tuple[int, ...]:
        """List the feature rows that may lead a target; without another photo, changed forms and copies of its own.

        Where others are asked for, each of them is another photo than the rest; none are listed if they are too few.
        """
        same = real_references(people, self.pack.identities[photo], photo)
        others = tuple(other for other in same if self._first[other] != self._first[photo])
        if self.settings.min_others:
            distinct = tuple({self._first[other]: other for other in others}.values())
            return distinct if len(distinct) >= self.settings.min_others else ()
        if others:
            return (*others, photo) if self.settings.own_in_pool else others
        changed = tuple(variant * len(self.pack) + photo for variant in range(1, self.forms))
        return (*same, *changed) or (photo,)

    def _is_own(self, rows: Int[np.ndarray, "n"], photo: int) -> Bool[np.ndarray, "n"]:
        return np.array([self._first[row % len(self.pack)] == self._first[photo] for row in rows.tolist()])


def check_size(pack: Pack, size: int, crop: Crop) -> None:
    """See that squares of `size` pixels can be cut from a pack as asked.

    Raises:
        DataError: aligned squares are of another size, or random ones have no larger picture to be cut from.
    """
    again = "keepface data prepare SOURCE OUT --size"
    if crop == "aligned" and pack.size != size:
        raise DataError(f"{pack.folder}: squares of {pack.size} px; the family needs {size}: {again} {size}")
    if crop == "random" and pack.size <= size:
        raise DataError(
            f"{pack.folder}: squares of {pack.size} px; random crops of {size} px are cut from larger ones: "
            f"{again} {2 * size}, or keep the faces aligned: --set batch.crop=aligned"
        )


def draw_cut(rng: np.random.Generator, least: int, most: int, whole: int) -> tuple[int, int, int]:
    """Draw (left, top, side) of a square of `least` to `most` pixels, anywhere in `whole`. [PFStorer, Sec. 3.3]"""
    side = int(rng.integers(least, most + 1))
    left, top = rng.integers(0, whole - side + 1, 2)
    return int(left), int(top), side


def draw_references(pool: Sequence[int], count: int, most: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Fill the pool up to `most` with random repeats, draw `most` without replacement, take the first `count`. [FaceMe]

    The caller sees to it that the pool is not empty and `count` is at most `most`.
    """
    filled = np.array(pool)
    if len(filled) < most:
        filled = np.concatenate([filled, rng.choice(filled, most - len(filled))])
    return tuple(int(row) for row in rng.permutation(filled)[:count])
