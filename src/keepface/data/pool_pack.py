"""A pack and its pool of synthesised references as a new pack, and the log of how it came about.

The new pack's first rows are those of the old one, bit for bit; the photos that passed follow, of source "synthetic"
and of their target's identity: references in training, never targets.
    pool.jsonl    a line a target and cell: target, cell, tries, poses, similarities, similarity (the last), accepted
Photos are named by their number in the pack.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from keepface.data.pairs import SYNTHETIC
from keepface.data.pools import (
    Drawn,
    Judge,
    Place,
    PoolSettings,
    PoseExpression,
    Synthesiser,
    build_pool,
    nested_kmeans,
    places,
)
from keepface.data.prepare import (
    FeatureMaker,
    Pack,
    Progress,
    columns_of,
    existing_pack,
    features_of_forms,
)
from keepface.data.shards import Row
from keepface.data.unfinished import COLUMNS, UnfinishedPack, is_photo
from keepface.errors import DataError
from keepface.image.files import from_uint8, to_uint8
from keepface.seeds import numpy_generator

LOG = "pool.jsonl"
KEYS = ("target", "cell", "tries", "poses", "similarities", "similarity", "accepted")  # of a line of the log
CHUNK = 512  # rows of the old pack that are copied at a time


@dataclass(frozen=True)
class PoolParts:
    """Whoever does the work: draws the photos, judges them, and makes the features of those that pass."""

    synthesiser: Synthesiser
    judge: Judge
    features: FeatureMaker
    estimator: PoseExpression


@dataclass(frozen=True)
class PoolSummary:
    """What a pool holds."""

    targets: int
    wanted: int  # places: a target in a cell each
    accepted: int  # places that got a photo
    tries: int  # photos synthesised
    per_cell: tuple[int, ...]  # photos that passed of each cell

    @property
    def acceptance(self) -> float:
        """Return the share of synthesised photos that passed."""
        return self.accepted / self.tries if self.tries else 0.0

    @property
    def fill(self) -> float:
        """Return the share of places that got a photo; FaceMe's is 0.977."""
        return self.accepted / self.wanted if self.wanted else 0.0


def write_pool(
    pack: Pack, out: Path, parts: PoolParts, settings: PoolSettings, progress: Progress | None = None
) -> PoolSummary:
    """Write the new pack; the same call goes on where it was stopped, and a pack that is there already is kept.

    Raises:
        DataError: the pack has no features or other ones, or a pool already; or other work lies half done in the way.
        OutputExistsError: `out` holds something else, or a pool with other settings.
    """
    table = json.loads((pack.folder / "table.json").read_text(encoding="utf-8"))
    if SYNTHETIC in pack.sources:
        raise DataError(f"{pack.folder}: has a pool already; begin with the pack that it was made from")
    if table["features"] != parts.features.names():
        raise DataError(
            f"{pack.folder}: has the features {table['features'] or 'none'}; a pool needs {parts.features.names()}: "
            "prepare it again without --no-features"
        )
    targets = range(len(pack))[: settings.limit]
    described = _described(pack, table, parts, settings, len(targets))
    if out.exists():
        existing_pack(out, described)
        return summarise(read_log(out), settings)
    labels = cells(pack, parts.estimator, settings)
    unfinished = UnfinishedPack(out, described)
    _copy_old(pack, table, unfinished)
    old = len(table["identity"]) + len(table["left_out"])
    wanted = places(targets, labels)
    done = len(unfinished.lines) - old
    for drawn in build_pool(wanted[done:], labels, parts.synthesiser, parts.judge, settings):
        _append(drawn, pack, unfinished, parts.features, described)
        if progress:
            progress(len(unfinished.lines) - old, len(wanted))
    log = [{key: line[key] for key in KEYS} for line in unfinished.lines[old:]]
    (unfinished.folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in log), encoding="utf-8")
    unfinished.finish()
    return summarise(log, settings)


def cells(pack: Pack, estimator: PoseExpression, settings: PoolSettings) -> Int[np.ndarray, "n"]:
    """Cluster the photos of a pack by pose and expression.

    Raises:
        DataError: there are fewer photos than clusters of pose.
    """
    estimates = [
        estimator.estimate(from_uint8(np.array(image)), landmarks)
        for image, landmarks in zip(pack.images, pack.landmarks, strict=True)
    ]
    theta, psi = np.stack([item.theta for item in estimates]), np.stack([item.psi for item in estimates])
    return nested_kmeans(theta, psi, settings.poses, settings.expressions, numpy_generator(settings.seed, "cells"))


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read how the pool of a pack came about, a line a target and cell."""
    return [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]


def summarise(log: Sequence[Mapping[str, Any]], settings: PoolSettings) -> PoolSummary:
    """Count what a log tells."""
    kept = [line["cell"] for line in log if line["accepted"]]
    return PoolSummary(
        targets=len({line["target"] for line in log}),
        wanted=len(log),
        accepted=len(kept),
        tries=sum(line["tries"] for line in log),
        per_cell=tuple(np.bincount(kept, minlength=settings.poses * settings.expressions).tolist()),
    )


def _described(
    pack: Pack, table: Mapping[str, Any], parts: PoolParts, settings: PoolSettings, targets: int
) -> dict[str, Any]:
    """Say in plain values all that the new pack depends on; pictures made together do not depend on each other."""
    plain = {name: value for name, value in asdict(settings).items() if name not in ("batch", "limit")}
    digest = hashlib.sha256((pack.folder / "table.json").read_bytes()).hexdigest()
    made = {"from": digest, "targets": targets, **plain, "synthesiser": parts.synthesiser.settings()}
    kept = {name: table[name] for name in ("format", "size", "side", "entries", "features", "variants")}
    return {**kept, "pool": json.loads(json.dumps(made))}


def _copy_old(pack: Pack, table: Mapping[str, Any], unfinished: UnfinishedPack) -> None:
    """Append the rows of the old pack that are not there yet, and what it left out."""
    photos = len(pack)
    names = list(table["features"])
    for start in range(len(unfinished.lines), photos, CHUNK):
        rows = range(start, min(start + CHUNK, photos))
        lines = [{"origin": f"photo {row}", **{name: table[name][row] for name in COLUMNS}} for row in rows]
        chosen = slice(rows.start, rows.stop)
        numbers = np.concatenate([pack.features[name][:, chosen].numpy() for name in names], axis=2)  # v n sum(d)
        unfinished.append(lines, pack.images[chosen], numbers.transpose(1, 0, 2).reshape(len(rows), -1))
    left_out = [{"origin": origin, "reason": reason} for origin, reason in table["left_out"]]
    missing = left_out[max(0, len(unfinished.lines) - photos) :]
    if missing:
        unfinished.append(missing, *unfinished.nothing)


def _append(
    drawn: Sequence[Drawn],
    pack: Pack,
    unfinished: UnfinishedPack,
    features: FeatureMaker,
    settings: Mapping[str, Any],
) -> None:
    lines: list[dict[str, Any]] = []
    pixels, rows = [], []
    for item in drawn:
        line = {"origin": _origin(item.place), **_log_line(item)}
        if item.picture is not None and item.landmarks is not None:
            square = _with_margin(item.picture, pack)
            pixels.append(square)
            rows.append(_row(square, item.landmarks + pack.margin_px, pack, item.place))
            line |= columns_of(rows[-1], pack.side)
        lines.append(line)
    if not rows:
        unfinished.append(lines, *unfinished.nothing)
        return
    origins = [line["origin"] for line in lines if is_photo(line)]
    unfinished.append(lines, np.stack(pixels), features_of_forms(rows, origins, features, settings))


def _log_line(item: Drawn) -> dict[str, Any]:
    similarities = [round(attempt.sameness, 4) for attempt in item.attempts]
    return {
        "target": item.place.target,
        "cell": item.place.cell,
        "tries": len(item.attempts),
        "poses": [attempt.pose for attempt in item.attempts],
        "similarities": similarities,
        "similarity": similarities[-1],
        "accepted": item.picture is not None,
    }


def _origin(place: Place) -> str:
    return f"{SYNTHETIC} {place.target} {place.cell}"


def _with_margin(picture: Float[Tensor, "3 s s"], pack: Pack) -> UInt8[np.ndarray, "S S 3"]:
    """Mirror a square outwards to the crop that rows of a pack are."""
    margin = (pack.margin_px, pack.margin_px)
    return np.pad(to_uint8(picture), (margin, margin, (0, 0)), mode="reflect")


def _row(square: UInt8[np.ndarray, "S S 3"], landmarks: Float[np.ndarray, "5 2"], pack: Pack, place: Place) -> Row:
    return Row(
        image=from_uint8(square),
        identity=pack.identities[place.target],
        source=SYNTHETIC,
        native_px=float(pack.side),
        inside=(pack.size / pack.side) ** 2,
        landmarks=landmarks.astype(np.float32),
    )
