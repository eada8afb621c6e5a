"""Restore many photos: reading and finding faces goes on while others are restored, and faces share batches.

The squares of all photos wait in rows of their kind, and a row passes through the networks when it is as long as a
batch. **Every batch is equally long**: the last of a row is filled up with repeats. Networks on a CPU round a square
otherwise in a batch of two than alone (another kernel is chosen), but not otherwise beside these neighbours than
beside those, nor in the third place than in the first. So a picture depends on the batch's length, which is a setting,
and not on what else is in the album, on shards, order, or where a killed run was taken up again; see docs/batch.md.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from keepface.engine.candidates import goes_by_tiles
from keepface.engine.matching import People
from keepface.engine.photo import Look, finish, look_at
from keepface.engine.provenance import Options, made_by, mark
from keepface.engine.redo import restore_by
from keepface.engine.references import References
from keepface.engine.result import Restoration
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import PictureRestorer
from keepface.errors import KeepfaceError, RecipeError
from keepface.image.files import Photo, from_uint8, read_photo, to_uint8, without_gps
from keepface.methods.method import OnePass, Personal

MIB = 2**20
MOST_FACES, MOST_THREADS = 8, 4  # ours: of an album that nothing more is said of
LARGE = 3 * 2_000_000  # ours: values of a photo that is worth packing while it waits

Made = TypeVar("Made")


@dataclass(frozen=True)
class Item:
    """One photo to restore, and the file that is to be made of it, for whoever writes files."""

    source: Path
    output: Path = Path()


@dataclass(frozen=True)
class Batching:
    """How the work is put together.

    squares: how many faces pass through the networks at once, always exactly so many; pictures depend on it by what
        float rounding makes of it, see docs/batch.md.
    workers: threads that read photos, find faces, paste and write; pictures do not depend on it.
    waiting_mib: of photos that wait for their faces' batch; beyond it a row that is not full goes on its way. Each
        worker has a photo in hand besides, of 12 bytes a pixel and as much again while it is written.
    """

    squares: int = 8
    workers: int = 2
    waiting_mib: int = 512

    def __post_init__(self) -> None:
        for name in ("squares", "workers", "waiting_mib"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is {getattr(self, name)}; at least 1 is needed")


def batch_for(photos: int) -> int:
    """Return how many faces share a batch in an album of so many photos: 1 to 8; half-empty batches cost time."""
    return max(size for size in (1, 2, 4, MOST_FACES) if size == 1 or 2 * size <= photos)


def batching_for(photos: int) -> Batching:
    """Return how an album of so many photos is put together on this machine, where nothing more is said."""
    return Batching(batch_for(photos), min(MOST_THREADS, os.cpu_count() or 1))


@dataclass(frozen=True, eq=False)
class Outcome(Generic[Made]):
    """What became of one photo: what was made of it, or the error; they come as they are done, not as given."""

    number: int  # of the photo among those given, from 0
    item: Item
    made: Made | None
    error: str | None
    seconds: float  # of work on this photo, its share of batches included, waiting left out


def restore_many(
    restorer: PictureRestorer,
    photos: Iterable[Path | str],
    references: References | People,
    options: Options = Options(RestoreSettings()),  # noqa: B008 - frozen
    batching: Batching = Batching(),  # noqa: B008 - frozen
) -> Iterator[Outcome[Restoration]]:
    """Restore photos, led as one photo is; what can't be restored is told in its outcome, and the others go on.

    Photos are taken from the iterable a few at a time, and memory does not grow with their number. Where several
    candidates are asked for, or the method restores by tiles or has learned a person, photos are restored one by one.

    Raises:
        RecipeError, WeightsError: the networks can't do what the options ask for.
    """
    items = (Item(Path(photo)) for photo in photos)
    return restore_each(restorer, items, references, options, batching, lambda _, restoration: restoration)


def restore_each(
    restorer: PictureRestorer,
    items: Iterable[Item],
    references: References | People,
    options: Options,
    batching: Batching,
    make: Callable[[Item, Restoration], Made],
) -> Iterator[Outcome[Made]]:
    """Restore photos and make something of each, in a thread beside the networks; the rest is as in `restore_many`."""
    with ThreadPoolExecutor(batching.workers, "keepface") as pool:
        line = _Line(_Stages(restorer, references, options, make), batching, pool)
        try:
            yield from line.run(iter(items))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def is_batched(restorer: PictureRestorer, options: Options) -> bool:
    """Tell whether faces share batches: where photos may be restored by tiles, or drawn more than once, they do not."""
    settings = options.settings
    has_learned = isinstance(restorer.method, Personal)
    asked = bool(settings.tile) or (settings.tile is None and settings.changes_size)
    return options.candidates == 1 and not has_learned and not asked


# ---- what is done to one photo ----


@dataclass(eq=False)
class _Seen:
    """A photo that was read, its faces found; the restored squares come in one by one."""

    number: int
    item: Item
    photo: "Photo | _Packed"
    look: Look | None  # without its photo's pixels; None: the photo is restored by itself
    seconds: float
    restored: list[Tensor] = field(default_factory=list)
    missing: int = 0  # squares that are not restored yet

    @property
    def size(self) -> int:
        """Return how many bytes wait with it."""
        pixels = self.photo.pixels
        return pixels.nbytes if isinstance(pixels, np.ndarray) else 4 * pixels.numel()


@dataclass(frozen=True, eq=False)
class _Packed:
    """A large photo of 8 bits in as many, which is a quarter of what it is to be worked on; nothing is lost."""

    rest: Photo
    pixels: UInt8[np.ndarray, "h w 3"]

    @classmethod
    def of(cls, photo: Photo) -> "Photo | _Packed":
        if photo.bit_depth != 8 or photo.pixels.numel() < LARGE:
            return photo
        return cls(replace(photo, pixels=photo.pixels[:, :0, :0].clone()), to_uint8(photo.pixels))

    def unpacked(self) -> Photo:
        return replace(self.rest, pixels=from_uint8(self.pixels))


@dataclass(frozen=True, eq=False)
class _Stages(Generic[Made]):
    """The two ends of a photo's way, which run in threads; the networks in between do not."""

    restorer: PictureRestorer
    references: References | People
    options: Options
    make: Callable[[Item, Restoration], Made]

    def see(self, number: int, item: Item) -> _Seen | Outcome[Made]:
        """Read a photo, find its faces and cut their squares."""
        started = time.perf_counter()
        restorer, options = self.restorer, self.options
        try:
            photo = read_photo(item.source, options.limits)
            shown = without_gps(photo) if options.strip_gps else photo
            settings, is_aligned = options.settings, options.is_aligned
            together = is_batched(restorer, options) and not goes_by_tiles(restorer, photo, settings, is_aligned)
            look = None
            if together:
                look = look_at(restorer, shown, self.references, settings, options.seed, is_aligned)
        except Exception as error:  # of one photo: whatever it is, the others go on
            return self._failed(number, item, error, started)
        if look is None:
            return _Seen(number, item, photo, None, time.perf_counter() - started)
        packed = _Packed.of(shown)
        if isinstance(packed, _Packed):
            look = replace(look, photo=packed.rest)
        spent = time.perf_counter() - started
        return _Seen(number, item, packed, look, spent, list(look.squares), len(look.squares))

    def alone(self, seen: _Seen) -> Outcome[Made]:
        """Restore a photo that shares no batch, and make what is to be made."""
        started = time.perf_counter() - seen.seconds
        try:
            photo = seen.photo.unpacked() if isinstance(seen.photo, _Packed) else seen.photo
            restoration, _ = restore_by(self.options, self.restorer, photo, self.references)
            made = self.make(seen.item, restoration)
        except Exception as error:
            return self._failed(seen.number, seen.item, error, started)
        return Outcome(seen.number, seen.item, made, None, time.perf_counter() - started)

    def finish(self, seen: _Seen, look: Look) -> Outcome[Made]:
        """Put the squares back, judge them, say so in the file, and make what is to be made."""
        started = time.perf_counter() - seen.seconds
        try:
            squares = torch.stack(seen.restored) if seen.restored else look.squares
            if isinstance(seen.photo, _Packed):
                look = replace(look, photo=seen.photo.unpacked())
            restoration = finish(self.restorer, look, squares, self.options.settings, started)
            restoration = mark(restoration, made_by(self.restorer.method), self.options)
            made = self.make(seen.item, restoration)
        except Exception as error:
            return self._failed(seen.number, seen.item, error, started)
        return Outcome(seen.number, seen.item, made, None, time.perf_counter() - started)

    def failed(self, seen: _Seen, error: Exception) -> Outcome[Made]:
        """Say why a photo could not be restored."""
        return self._failed(seen.number, seen.item, error, time.perf_counter() - seen.seconds)

    def _failed(self, number: int, item: Item, error: Exception, started: float) -> Outcome[Made]:
        said = str(error) or type(error).__name__
        if not isinstance(error, KeepfaceError | OSError):
            said = f"{item.source}: {type(error).__name__}: {error}"
        return Outcome(number, item, None, said, time.perf_counter() - started)


# ---- what is done to many ----


@dataclass(frozen=True)
class _Kind:
    """What a batch must have in common: its settings, and how many references lead each square.

    Without references guidance needs one pass and with them two, and a prompt is as long as the longest beside it.
    """

    settings: RestoreSettings
    references: int


@dataclass(frozen=True, eq=False)
class _Square:
    """One face on its way."""

    seen: _Seen
    place: int  # among the squares of its photo
    low: Float[Tensor, "3 s s"]
    led_by: References


class _Line(Generic[Made]):
    """The rows of waiting squares, and the photos before and behind them."""

    def __init__(self, stages: _Stages[Made], batching: Batching, pool: ThreadPoolExecutor) -> None:
        self._stages, self._batching, self._pool = stages, batching, pool
        self._ahead: deque[Future[_Seen | Outcome[Made]]] = deque()  # read, in the order given
        self._rows: dict[_Kind, deque[_Square]] = {}
        self._behind: deque[Future[Outcome[Made]]] = deque()  # pasted and written
        self._ready: deque[Outcome[Made]] = deque()
        self._waiting = 0  # bytes

    def run(self, items: Iterator[Item]) -> Iterator[Outcome[Made]]:
        """Bring every photo through."""
        numbered = enumerate(items)
        while True:
            self._look_ahead(numbered)
            row = max(self._rows.values(), key=len, default=deque[_Square]())
            is_heavy = self._waiting > self._batching.waiting_mib * MIB
            if len(row) >= self._batching.squares or (row and (is_heavy or not self._ahead)):
                self._restore(row)
            elif self._ahead:
                self._take(self._ahead.popleft().result())
            else:
                break
            yield from self._done(2 * self._batching.workers)
        yield from self._done(0)

    def _look_ahead(self, numbered: Iterator[tuple[int, Item]]) -> None:
        while len(self._ahead) <= self._batching.workers:
            following = next(numbered, None)
            if following is None:
                break
            self._ahead.append(self._pool.submit(self._stages.see, *following))

    def _done(self, most: int) -> Iterator[Outcome[Made]]:
        """Give what is done; where more than so many are behind, wait for them."""
        while self._ready:
            yield self._ready.popleft()
        while self._behind and (len(self._behind) > most or self._behind[0].done()):
            yield self._behind.popleft().result()

    def _take(self, seen: _Seen | Outcome[Made]) -> None:
        if isinstance(seen, Outcome):
            self._ready.append(seen)
        elif seen.look is None:
            self._ready.append(self._stages.alone(seen))
        elif not seen.missing:
            self._behind.append(self._pool.submit(self._stages.finish, seen, seen.look))
        else:
            self._waiting += seen.size
            self._line_up(seen, seen.look)

    def _line_up(self, seen: _Seen, look: Look) -> None:
        plans = [plan for plan in look.plans if plan.is_restored]
        for place, (plan, low, led_by) in enumerate(zip(plans, look.squares, look.led_by, strict=True)):
            own = plan.settings(self._stages.options.settings)
            kind = _Kind(own, sum(weight * own.identity > 0 for weight in led_by.weights))
            self._rows.setdefault(kind, deque()).append(_Square(seen, place, low, led_by))

    def _restore(self, row: deque[_Square]) -> None:
        """Send the first of a row through the networks; an error that is none of keepface's is laid at one square."""
        (kind,) = (kind for kind, squares in self._rows.items() if squares is row)
        batch = [row.popleft() for _ in range(min(len(row), self._batching.squares))]
        if not row:
            del self._rows[kind]
        started = time.perf_counter()
        try:
            restored: Sequence[Tensor | Exception] = list(self._pass(batch, kind.settings))
        except KeepfaceError:
            raise
        except Exception:
            restored = [self._pass_alone(square, kind.settings) for square in batch]
        share = (time.perf_counter() - started) / len(batch)
        for square, result in zip(batch, restored, strict=True):
            self._arrived(square, result, share)

    @torch.no_grad()
    def _pass(self, batch: Sequence[_Square], settings: RestoreSettings) -> Float[Tensor, "b 3 s s"]:
        """Restore a batch, filled up with repeats to one length; one-pass methods take its faces one by one."""
        is_single = isinstance(self._stages.restorer.method, OnePass)
        count = len(batch) if is_single else self._batching.squares
        full = [batch[place % len(batch)] for place in range(count)]
        restored = self._stages.restorer.restore_squares(
            torch.stack([square.low for square in full]),
            [square.led_by.features for square in full],
            settings,
            [self._stages.options.seed] * len(full),
            [square.led_by.weights for square in full],
        )
        return restored[: len(batch)].clamp(0, 1)

    def _pass_alone(self, square: _Square, settings: RestoreSettings) -> Tensor | Exception:
        try:
            return self._pass([square], settings)[0]
        except KeepfaceError:
            raise
        except Exception as error:
            return error

    def _arrived(self, square: _Square, result: Tensor | Exception, seconds: float) -> None:
        """Note a restored square; with the last of its photo, the photo goes on."""
        seen = square.seen
        seen.seconds += seconds
        if not seen.missing or seen.look is None:
            return  # another of its faces failed already
        if isinstance(result, Exception):
            seen.missing = 0
            self._ready.append(self._stages.failed(seen, result))
        else:
            seen.restored[square.place] = result.clone()
            seen.missing -= 1
            if not seen.missing:
                self._behind.append(self._pool.submit(self._stages.finish, seen, seen.look))
        if not seen.missing:
            self._waiting -= seen.size
