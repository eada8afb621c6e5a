"""Restore a photo's faces from several seeds, rank what comes out, and paste the best of each.

The first candidate is what one seed alone gives, so asking for more never changes what it may be compared with.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.evidence import DRAWS, Draws, Evidence, shares, spread_out, square_maps
from keepface.engine.matching import People
from keepface.engine.one_pass_evidence import one_pass_evidence
from keepface.engine.photo import Look, Progress, SquareRestorer, finish, look_at, restore_looks
from keepface.engine.ranking import Candidate, Ranker, order
from keepface.engine.references import Picture, References, as_photo
from keepface.engine.result import FaceResult, Restoration
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import Learned
from keepface.errors import RecipeError
from keepface.faces.align import transform
from keepface.faces.face import Face
from keepface.image.files import Photo
from keepface.methods import DEFAULTS
from keepface.methods.method import Defaults, OnePass, Personal
from keepface.seeds import derive

MOST = 64
AT_ONCE = 16  # ours: squares in the networks at once; results do not depend on it


@dataclass(frozen=True)
class Drawing:
    """How many candidates to draw of each face, from what seed on, and whether the photo is an aligned face square."""

    count: int = 4
    seed: int = 0
    is_aligned: bool | None = None


@dataclass(frozen=True, eq=False)
class Ranked:
    """The candidates of one face, best first: what was measured of each, and its square."""

    table: tuple[Candidate, ...]
    squares: Float[Tensor, "k 3 s s"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """A photo restored from several seeds: the best of each face pasted, and the others at hand."""

    best: Restoration
    look: Look
    settings: RestoreSettings
    faces: tuple[Ranked, ...]  # one for each plan that is restored, in their order
    missing: str | None = None  # why naturalness was not measured

    @property
    def count(self) -> int:
        """Return how many candidates each face has."""
        return len(self.faces[0].table) if self.faces else 0

    def picture(self, restorer: SquareRestorer, ranks: Sequence[int]) -> Restoration:
        """Paste other candidates: for each restored face its rank, 0 the best.

        Raises:
            RecipeError: not one rank for each face, or one that there is not.
        """
        if len(ranks) != len(self.faces) or not all(0 <= rank < self.count for rank in ranks):
            raise RecipeError(
                f"candidates {list(ranks)} are asked for; give one from 0 to {self.count - 1} for each of the "
                f"{len(self.faces)} faces that are restored"
            )
        started = time.perf_counter()
        settings = replace(self.settings, keep_worse=True)  # who chooses by hand gets what was chosen
        return _finish(restorer, self.look, self.faces, ranks, settings, started)


def seeds_of(seed: int, count: int) -> list[int]:
    """Return the seeds of the candidates; the first is the call's own."""
    return [seed, *(derive(seed, "candidate", number) for number in range(1, count))]


@torch.no_grad()
def restore_candidates(
    restorer: SquareRestorer,
    photo: Picture,
    references: References | People | Sequence[Picture] = (),
    settings: RestoreSettings = RestoreSettings(),  # noqa: B008 - frozen
    drawing: Drawing = Drawing(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> Candidates:
    """Restore a photo from several seeds and keep the best of each face; the rest is as in `restore_photo`.

    Raises:
        RecipeError: a count that is not 1 to 64, or tiles, which make one picture of no one face.
        PhotoError, ReferencePhotoError: as `restore_photo`.
    """
    photo = as_photo(photo)
    if goes_by_tiles(restorer, photo, settings, drawing.is_aligned):
        raise RecipeError("candidates and evidence are of faces, and by tiles none is looked for; add --no-tile")
    if isinstance(restorer, Learned) and (isinstance(references, People | References) or references):
        restorer = restorer.for_chosen_faces()
    look = look_at(restorer, photo, references, settings, drawing.seed, drawing.is_aligned)
    return rank_looks(restorer, look, settings, drawing.count, progress)


def goes_by_tiles(restorer: SquareRestorer, photo: Photo, settings: RestoreSettings, is_aligned: bool | None) -> bool:
    """Tell whether `restore_any` would restore a photo by tiles."""
    own = DEFAULTS.get(restorer.method.name, Defaults())
    is_way = own.takes_any_crop and max(photo.pixels.shape[1:]) > restorer.size and not is_aligned
    return bool(settings.tile) or (settings.tile is None and (settings.changes_size or is_way))


@torch.no_grad()
def rank_looks(
    restorer: SquareRestorer, look: Look, settings: RestoreSettings, count: int, progress: Progress | None = None
) -> Candidates:
    """Do so with a photo that was looked at already."""
    if not 1 <= count <= MOST:
        raise RecipeError(f"candidates is {count}; it must be from 1 to {MOST}")
    if count > 1 and isinstance(restorer.method, OnePass):
        raise RecipeError(
            f"candidates is {count}, and method {restorer.method.name!r} draws nothing: it makes one result, whatever "
            "the seed; leave --candidates out, or choose --method faceme"
        )
    started = time.perf_counter()
    seeds = seeds_of(look.seed, count)
    squares = draw_candidates(restorer, look, settings, seeds, progress)
    ranker = Ranker.load(restorer)
    restored = [plan for plan in look.plans if plan.is_restored]
    faces = []
    for number, plan in enumerate(restored):
        own = squares[:, number]
        expected = None if look.is_aligned else _moved(plan.face, look.matrices[number])
        table = ranker.measure(look.squares[number], own, seeds, plan.compared_with, expected)
        places = order(table)
        faces.append(Ranked(tuple(table[place] for place in places), own[places]))
    best = _finish(restorer, look, faces, [0] * len(faces), settings, started)
    return Candidates(best, look, settings, tuple(faces), ranker.missing)


def draw_candidates(
    restorer: SquareRestorer,
    look: Look,
    settings: RestoreSettings,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> Float[Tensor, "k f 3 s s"]:
    """Restore every face of a photo once from each seed, as many in a batch as fit."""
    together = max(1, AT_ONCE // max(1, len(look.squares)))
    drawn: list[Tensor] = []
    for first in range(0, len(seeds), together):
        looks = [replace(look, seed=seed) for seed in seeds[first : first + together]]
        drawn += restore_looks(restorer, looks, settings, progress)
    return torch.stack(drawn)


def _finish(
    restorer: SquareRestorer,
    look: Look,
    faces: Sequence[Ranked],
    ranks: Sequence[int],
    settings: RestoreSettings,
    started: float,
) -> Restoration:
    """Paste one candidate of each face, and tell of each face which it was and what the others were."""
    chosen = [face.squares[rank] for face, rank in zip(faces, ranks, strict=True)]
    pasted = torch.stack(chosen) if chosen else look.squares
    result = finish(restorer, look, pasted, settings, started)
    results: list[FaceResult] = []
    waiting = iter(zip(faces, ranks, strict=True))
    for plan, found in zip(look.plans, result.faces, strict=False):
        if plan.is_restored:
            face, rank = next(waiting)
            table = tuple(replace(item, chosen=place == rank) for place, item in enumerate(face.table))
            found = replace(found, seed=table[rank].seed, candidates=table)
        results.append(found)
    return replace(result, faces=tuple(results) or result.faces)


def _moved(face: Face, matrix: Float[np.ndarray, "2 3"]) -> Face:
    """Lead a face of the photo into its square; the box is the one around its led corners."""
    left, top, right, bottom = face.box
    edges = transform(np.array([[left, top], [right, top], [left, bottom], [right, bottom]]), matrix)
    box = (*edges.min(0).tolist(), *edges.max(0).tolist())
    return Face((box[0], box[1], box[2], box[3]), transform(face.points, matrix), face.score)


@torch.no_grad()
def with_evidence(restorer: SquareRestorer, candidates: Candidates, progress: Progress | None = None) -> Restoration:
    """Return the best picture with its evidence: faces are drawn anew without references, and again if only once."""
    if isinstance(restorer.method, OnePass):
        return one_pass_evidence(restorer.method, candidates.look, candidates.best, candidates.settings)
    look, settings = candidates.look, candidates.settings
    count = candidates.count if candidates.count > 1 else DRAWS
    seeds = seeds_of(look.seed, count)
    led = _by_seed(candidates) if candidates.count > 1 else draw_candidates(restorer, look, settings, seeds, progress)
    unled = None
    has_learned = isinstance(restorer.method, Personal) and restorer.method.has_person
    if has_learned or any(references.kept for references in look.led_by):
        plans = tuple(replace(plan, led_by=None, identity=None) for plan in look.plans)
        alone = replace(look, plans=plans)
        unled = draw_candidates(restorer, alone, replace(settings, identity=0.0), seeds, progress)
    maps, numbers, matrices = [], [], []
    places = [place for place, plan in enumerate(look.plans) if plan.is_restored]
    for number, place in enumerate(places):
        if candidates.best.faces[place].restored:
            draws = Draws(look.squares[number], led[:, number], None if unled is None else unled[:, number])
            maps.append(square_maps(draws))
            numbers.append(shares(place, maps[-1], draws))
            matrices += [] if look.is_aligned else [look.matrices[number]]
    best = candidates.best
    size = (best.image.pixels.shape[1], best.image.pixels.shape[2])
    whole = maps[0] if look.is_aligned and maps else spread_out(size, maps, matrices)
    return replace(best, evidence=Evidence(whole, tuple(numbers), count))


def _by_seed(candidates: Candidates) -> Float[Tensor, "k f 3 s s"]:
    """Return the squares in the order of their seeds, so that draws with and without references go in pairs."""
    seeds = seeds_of(candidates.look.seed, candidates.count)
    faces = []
    for face in candidates.faces:
        places = {item.seed: place for place, item in enumerate(face.table)}
        faces.append(face.squares[[places[seed] for seed in seeds]])
    return torch.stack(faces, 1)
