"""An album in, an album out: what is done stays done, whatever happens on the way.

A photo is finished in four steps, each of which is whole or not there: the output is written aside; its hash is
entered in the manifest as `writing`; the file takes its name; it is entered as `done`. A killed run leaves at most
photos that were not begun or not finished, which are begun anew, and one file that took its name and was not entered,
which is known by its hash.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from keepface import __version__
from keepface.allocator import keep_freed_memory
from keepface.engine.batch import Batching, Item, Outcome, is_batched, restore_each
from keepface.engine.manifest import Entry, Manifest, Shard
from keepface.engine.matching import People
from keepface.engine.provenance import OfFamily, Options, made_by
from keepface.engine.redo import file_bytes
from keepface.engine.references import References
from keepface.engine.result import Restoration, failed, skipped
from keepface.engine.settings import RestoreSettings
from keepface.engine.sidecar import features_sha256, file_sha256
from keepface.engine.whole import PictureRestorer
from keepface.errors import KeepfaceError, OutputExistsError, PhotoError
from keepface.image.endings import FORMATS
from keepface.image.files import Photo, keep_dates

UNKNOWN = ""  # hash of a file that can't be read


@dataclass(frozen=True)
class Wishes:
    """What is to be done with photos that the manifest or the output folder knows already.

    force: replace outputs that were made otherwise, or by somebody else; what would come out the same stays.
    retry: try again what failed.
    """

    force: bool = False
    retry: bool = False


@dataclass(frozen=True, eq=False)
class Studio:
    """What restores, by what options, and who leads."""

    restorer: PictureRestorer
    references: References | People
    options: Options
    batching: Batching = field(default_factory=Batching)

    @cached_property
    def model_sha256(self) -> str:
        """Return the hash of the networks, and of where and how precisely they compute."""
        method = self.restorer.method
        where = (str(method.family.dtype), method.family.device.type) if isinstance(method, OfFamily) else ()
        maker = {name: value for name, value in asdict(made_by(method)).items() if name != "version"}
        return _hash([maker, where])

    def options_sha256(self, source: Path) -> str:
        """Return the hash of all that is asked for of a photo, and of whoever leads; what only refuses does not count.

        Where it is known face by face who leads, as in an album that guides itself, others of the album do not count:
        it may grow, and photos whose faces are led as before stay as they are.
        """
        people = self.references
        if not isinstance(people, People) or people.plans is None:
            return self._same_for_all
        led_by = [[plan.is_restored, self._led_by(plan.led_by)] for plan in people.plans.get(str(source), ())]
        return _hash([self._same_for_all, led_by])

    @cached_property
    def _same_for_all(self) -> str:
        free = RestoreSettings()
        settings = self.options.settings
        limits = {name: getattr(free, name) for name in ("max_faces", "max_pixels", "tile_batch")}
        asked = replace(self.options, settings=replace(settings, **limits), max_pixels=None, allow_truncated=None)
        together = self.batching.squares if is_batched(self.restorer, self.options) else 0
        people = self.references
        if isinstance(people, People) and people.plans is not None:
            return _hash([asked.sha256, "by face", together])
        known = people.known if isinstance(people, People) else (people,)
        return _hash([asked.sha256, [(person.person, features_sha256(person)) for person in known], together])

    @staticmethod
    def _led_by(references: References | None) -> str | None:
        """Return the hash of whoever leads a face; what they are called in this call makes no difference."""
        return None if references is None else features_sha256(references)


@dataclass(frozen=True)
class Kept:
    """An output that was written aside, and what is to be said of its photo; small enough to be sent about."""

    aside: Path
    output_sha256: str
    source_sha256: str
    restoration: Restoration  # without its pixels: one value stands for all of them


@dataclass(frozen=True)
class Keep:
    """Write results into a folder beside the manifest, under names of their own."""

    folder: Path
    prefix: str
    options: Options

    def __call__(self, item: Item, restoration: Restoration) -> Kept:
        """Write one result, so that it is on the disk."""
        form = FORMATS[item.output.suffix.lower()]
        data, _ = file_bytes(restoration, item.source, form, self.options)
        aside = self.folder / f"{self.prefix}-{secrets.token_hex(8)}.part"
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise PhotoError(f"{item.output}: can't be written: {error.strerror or error}") from None
        keep_dates(item.source, aside)
        image = restoration.image
        blank = Photo(torch.zeros(1).expand(image.pixels.shape), source=image.source, beside=image.beside)
        told = replace(restoration, image=replace(blank, notes=image.notes))
        return Kept(aside, hashlib.sha256(data).hexdigest(), file_sha256(item.source), told)


Run = Callable[[Sequence[Item], Studio, Keep], Iterator[Outcome[Kept]]]


@dataclass(frozen=True)
class Told:
    """What became of one photo: its row, and what was restored, if it was now."""

    row: dict[str, Any]
    restoration: Restoration | None = None  # without its pixels


def restore_here(items: Sequence[Item], studio: Studio, keep: Keep) -> Iterator[Outcome[Kept]]:
    """Restore items in this process."""
    return restore_each(studio.restorer, items, studio.references, studio.options, studio.batching, keep)


def restore_album(
    items: Sequence[Item],
    manifest: Manifest,
    studio: Studio,
    wishes: Wishes = Wishes(),  # noqa: B008 - frozen
    shard: Shard = Shard(),  # noqa: B008 - frozen
    run: Run = restore_here,
) -> Iterator[Told]:
    """Restore the photos of an album, or of a part of it, whose outputs lie in the manifest's folder.

    What was done with the same photo, options and networks is left alone; what was done otherwise is an error that
    says so, unless the wishes say force. Rows come as photos are done.

    Raises:
        KeepfaceError: the manifest can't be used, or somebody else is at work on the same part.
        RecipeError, WeightsError: the networks can't do what the options ask for.
    """
    keep_freed_memory()
    own = [item for item in items if shard.holds(manifest.key(item.output))]
    with manifest.one_run(shard):
        ledger = _Ledger(manifest, studio, wishes)
        waiting = []
        for item in own:
            told = ledger.known(item)
            if told is None:
                waiting.append(item)
            else:
                yield told
        keep = Keep(manifest.folder, shard.name, studio.options)
        if waiting:
            for outcome in run(waiting, studio, keep):
                yield ledger.enter(outcome)


class _Ledger:
    """What the manifest says of photos, and how it comes to say it."""

    def __init__(self, manifest: Manifest, studio: Studio, wishes: Wishes) -> None:
        self._manifest, self._wishes = manifest, wishes
        self._seed = studio.options.seed
        self._studio = studio

    def known(self, item: Item) -> Told | None:
        """Tell of a photo that need not, or must not, be restored now; `None` for one that is to be."""
        entry = self._manifest.get(self._manifest.key(item.output))
        source, there = _sha256(item.source), _sha256(item.output)
        if entry is not None and entry.status == "writing" and there == entry.output_sha256:
            entry = replace(entry, status="done")  # it took its name, and the run was killed before it was entered
            self._manifest.put(entry)
        if entry is None or entry.status == "writing":
            return self._foreign(item, there)
        if entry.status == "failed":
            return self._failed(item, entry, source, there)
        if there == UNKNOWN:
            return None  # it was done, and taken away
        if there != entry.output_sha256:
            return self._foreign(item, there)
        return self._done(item, entry, source)

    def enter(self, outcome: Outcome[Kept]) -> Told:
        """Give a finished output its name, and enter it; or enter what went wrong."""
        item, kept = outcome.item, outcome.made
        error = outcome.error
        if kept is not None:
            entry = self._entry(item, kept.source_sha256, outcome.seconds)
            entry = replace(entry, status="writing", output_sha256=kept.output_sha256)
            error = self._name(item, kept, entry)
            if error is None:
                self._manifest.put(replace(entry, status="done"))
                return Told(kept.restoration.to_json(str(item.output)), kept.restoration)
        entry = self._entry(item, _sha256(item.source), outcome.seconds)
        self._manifest.put(replace(entry, error=error))
        return Told(failed(str(item.source), error or "", outcome.seconds))

    def _name(self, item: Item, kept: Kept, entry: Entry) -> str | None:
        """Give the file its name; return what keeps it from it."""
        try:
            if os.path.exists(item.output) and not self._wishes.force:
                raise OutputExistsError(f"{item.output}: somebody else wrote it meanwhile; --force replaces it")
            self._manifest.put(entry)
            os.replace(kept.aside, item.output)
        except KeepfaceError as error:
            return str(error)
        except OSError as error:
            return f"{item.output}: can't be written: {error.strerror or error}"
        finally:
            kept.aside.unlink(missing_ok=True)
        return None

    def _entry(self, item: Item, source: str, seconds: float) -> Entry:
        name, given, studio = self._manifest.key(item.output), str(item.source), self._studio
        options, model = studio.options_sha256(item.source), studio.model_sha256
        return Entry(name, given, source, options, model, self._seed, "failed", None, seconds, None, __version__)

    def _done(self, item: Item, entry: Entry, source: str) -> Told | None:
        changes = self._changes(item, entry, source)
        if not changes:
            if self._wishes.force and entry.version != __version__:
                return None
            return Told(skipped(str(item.source), str(item.output)))
        if self._wishes.force:
            return None
        said = f"{item.output}: is there already, made {' and '.join(changes)}: left alone"
        return Told(failed(str(item.source), f"{said}; make it again with --force, or choose another folder", 0.0))

    def _failed(self, item: Item, entry: Entry, source: str, there: str) -> Told | None:
        if there != UNKNOWN:
            return self._foreign(item, there)
        if self._wishes.retry or self._wishes.force or self._changes(item, entry, source):
            return None
        said = f"{entry.error} (it failed before; --retry tries again)"
        return Told(failed(str(item.source), said, 0.0))

    def _foreign(self, item: Item, there: str) -> Told | None:
        """Leave alone an output that this manifest did not make, or that was changed since."""
        if self._wishes.force or there == UNKNOWN:
            return None
        return Told(skipped(str(item.source), str(item.output)))

    def _changes(self, item: Item, entry: Entry, source: str) -> list[str]:
        """Say what was otherwise when an output was made."""
        pairs = [
            ("of another photo", entry.source_sha256, source),
            ("with other options or references", entry.options_sha256, self._studio.options_sha256(item.source)),
            ("by other networks", entry.model_sha256, self._studio.model_sha256),
        ]
        return [said for said, then, now in pairs if then != now]


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except PhotoError:
        return UNKNOWN


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
