"""Everything that the page and the API do, without either: people of the library, photos in, pictures out."""

import contextlib
import dataclasses
import io
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from keepface.device import choose_device
from keepface.diffusion.family import Family, locate
from keepface.engine.library import everybody, one_person
from keepface.engine.matching import People, names_of
from keepface.engine.photo import Progress
from keepface.engine.provenance import made_by
from keepface.engine.redo import restore_by
from keepface.engine.references import References, gather_references
from keepface.engine.restorer import Restorer
from keepface.engine.whole import PictureRestorer
from keepface.errors import KeepfaceError, RecipeError
from keepface.identity.embed import FeatureCache
from keepface.image.files import Photo, to_uint8
from keepface.image.size import resize
from keepface.methods import METHODS, ONE_PASS
from keepface.methods.method import Personal
from keepface.people.adapters import find_adapter
from keepface.people.checkup import check_person
from keepface.people.doctor import Diagnosis
from keepface.people.features import Known, Networks
from keepface.people.intake import Intake, IntakeSettings, Refused, look_at
from keepface.people.person import Notes, Person, checked_name, checked_notes, new_name, same_name
from keepface.people.store import Forgotten, Library
from keepface.people.traces import cached_features
from keepface.train.person_run import Asked, Trained, choose_photos, train_person
from keepface.train.personalise import Tunable, TuneSettings
from keepface.web.album import Album, Leading, restore_album
from keepface.web.jobs import Stopped
from keepface.web.refusals import NotThereError
from keepface.web.restored import Restored, Wish, sources_of
from keepface.web.settings import ServeSettings
from keepface.web.shelf import Shelf
from keepface.web.uploads import Given, Upload, read_upload

LEARNING = "pfstorer"  # the method that learns people
LARGEST_PORTRAIT = 1024  # px


class Workshop:
    """The library, the networks and a private folder; any thread may call, `restore` and its like one at a time."""

    def __init__(
        self,
        library: Library,
        settings: ServeSettings,
        load: Callable[[str], PictureRestorer] | None = None,
        networks: Callable[[], Networks] | None = None,
    ) -> None:
        self.library, self.settings = library, settings
        self.shelf = Shelf(settings.folder)
        self._load = load or self._from_pretrained
        self._load_networks = networks or Networks.load
        self._restorers: dict[str, PictureRestorer] = {}
        self._networks: Networks | None = None
        self._loading, self._reading, self._adding = threading.RLock(), threading.Lock(), threading.Lock()

    def close(self) -> None:
        """Delete the private folder."""
        self.shelf.close()

    def tidy(self) -> None:
        """Delete what the page keeps for longer than results are kept, such as uploads that broke off."""
        self.shelf.clear_page(60.0 * self.settings.keep_minutes)

    @property
    def hidden(self) -> tuple[Path, ...]:
        """Return the folders that no message may name."""
        return (self.shelf.folder, self.library.folder, *([self.settings.cache] if self.settings.cache else []))

    @property
    def family_name(self) -> str:
        """Return the family's name, without folders."""
        return Path(self.settings.family).name

    # ---- networks ----

    def methods(self) -> tuple[str, ...]:
        """Return the methods that need no family, and those that the family has; the default is the first.

        Raises:
            WeightsError: there is no such family.
        """
        folder = locate(self.settings.family)
        return (*ONE_PASS, *(name for name in METHODS if (folder / name).is_dir()))

    def restorer(self, method: str) -> PictureRestorer:
        """Return the networks of a method, loaded when they are first asked for.

        Raises:
            RecipeError, WeightsError: there are none.
        """
        with self._loading:
            if method not in self._restorers:
                self._restorers[method] = self._load(method)
            return self._restorers[method]

    def networks(self) -> Networks:
        """Return the networks that know people, loaded when they are first asked for."""
        with self._loading:
            if self._networks is None:
                self._networks = self._load_networks()
            return self._networks

    def _from_pretrained(self, method: str) -> PictureRestorer:
        from diffusers.utils.logging import disable_progress_bar

        disable_progress_bar()
        settings = self.settings
        if method in ONE_PASS:
            return Restorer.from_pretrained(method=method, device=settings.device)
        return Restorer.from_pretrained(settings.family, method, settings.device, settings.precision)

    # ---- people ----

    def people(self) -> tuple[Person, ...]:
        """Return everybody of the library, by name."""
        return self.library.people()

    def find(self, name: str) -> Person:
        """Return a person by name, in any capitals; a `NotThereError` when there is none."""
        for person in self.people():
            if same_name(checked_name(name), person.name):
                return person
        raise NotThereError(f"nobody in the library is called {name!r}")

    def add(
        self,
        name: str,
        photos: Sequence[Given],
        notes: Notes = Notes(),  # noqa: B008 - frozen
        sure: bool = False,
        year: int | None = None,
        progress: Progress | None = None,
    ) -> Intake:
        """Add photos and notes to a person, who is made by the first photo that is accepted.

        Raises:
            KeepfaceError: the name can't be one, or a note.
        """
        name, notes = checked_name(name), checked_notes(notes)
        if not self.library.has(name):
            new_name(name)
        with self._adding:
            return self._add(name, photos, notes, IntakeSettings(year, False, sure), progress)

    def _add(
        self, name: str, photos: Sequence[Given], notes: Notes, settings: IntakeSettings, progress: Progress | None
    ) -> Intake:
        networks, is_known = self.networks(), self.library.has(name)
        known = self.library.known(self.library.find(name), networks) if is_known else Known((), ())
        tray = self.shelf.tray()
        try:
            intake = _named(self._looked_at(tray, photos, known, settings, progress))
        finally:
            self.shelf.discard(tray)
        if intake.accepted or is_known:
            self.library = self.library.make()
            self.library.add(name, intake.accepted, notes)
        return intake

    def _looked_at(
        self,
        tray: Path,
        photos: Sequence[Given],
        known: Known,
        settings: IntakeSettings,
        progress: Progress | None,
    ) -> tuple[Intake, dict[str, str]]:
        names = {}
        for number, photo in enumerate(photos):
            path = tray / f"{number:06}"
            path.write_bytes(photo.data)
            names[str(path)] = photo.name
        intake = look_at([Path(path) for path in names], known, self.networks(), settings, progress)
        return intake, names

    def check(self, name: str) -> Diagnosis:
        """Examine a person's photos, and say which one to add next."""
        return check_person(self.library, self.find(name), self.networks()).diagnosis

    def portrait(self, name: str, key: str, side: int = 256) -> bytes:
        """Return a reference photo as a small JPEG, its longer side at most `side` pixels.

        Raises:
            NotThereError: the person has no such photo.
            PhotoError: it can't be read.
        """
        person = self.find(name)
        record = next((photo for photo in person.photos if photo.key == key), None)
        if record is None:
            raise NotThereError(f"{person.name} has no such photo")
        with self._reading:
            pixels = self.library.photo(person, record).pixels
        height, width = pixels.shape[1:]
        scale = min(1.0, min(side, LARGEST_PORTRAIT) / max(height, width))
        small = resize(pixels, (max(1, round(height * scale)), max(1, round(width * scale))), "bicubic")
        out = io.BytesIO()
        Image.fromarray(to_uint8(small.clamp(0, 1))).save(out, "JPEG", quality=88)
        return out.getvalue()

    def forget(self, name: str) -> Forgotten:
        """Delete all that the library and the cache of features hold of a person; see also `Jobs.forget`."""
        person = self.find(name)
        if self.settings.cache is not None:
            for path in cached_features(self.library, person, FeatureCache(self.settings.cache)):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        self.shelf.clear_page()
        return self.library.forget(person)

    # ---- pictures ----

    def read(self, photo: Given) -> Photo:
        """Decode a photo, one at a time; errors are those of `read_upload`."""
        with self._reading:
            return read_upload(photo, self.settings.max_pixels)

    def restore(self, photo: Given, wish: Wish, progress: Progress | None = None) -> Restored:
        """Restore one photo.

        Raises:
            KeepfaceError: what the photo, the references, the people or the networks can't be used for.
        """
        given = self.read(photo)
        restorer, led_by = self.led_by(wish)
        if progress:
            progress(0, 0)
        options = wish.options(self.settings.max_pixels)
        restoration, candidates = restore_by(options, restorer, given, led_by, wish.wants_evidence, progress)
        return Restored(
            Upload(photo.name, photo.data),
            given,
            restoration,
            candidates,
            restorer,
            made_by(restorer.method),
            wish,
            options,
            sources_of(photo, wish, led_by),
            tuple(names_of(led_by)),
        )

    def album(
        self, photos: Sequence[Given], wish: Wish, folder: Path | None = None, progress: Progress | None = None
    ) -> Album:
        """Restore many photos into one zip, in a tray or the folder given; errors are those of `restore_album`."""
        if wish.wants_evidence:
            raise RecipeError("evidence is measured photo by photo; leave it out for an album")
        restorer, led_by = self.led_by(wish)
        leading = Leading(restorer, led_by, wish.options(self.settings.max_pixels), self.hidden)
        place = self.shelf.tray() if folder is None else folder
        try:
            return restore_album(leading, photos, place, progress)
        except Stopped:
            raise  # with what was done
        except BaseException:
            self.shelf.discard(place)
            raise

    def led_by(self, wish: Wish) -> tuple[PictureRestorer, References | People]:
        """Return the networks that a wish asks for, and whoever leads them.

        Raises:
            KeepfaceError: one of them can't be used.
        """
        self.check_wish(wish)
        restorer = self.restorer(wish.method)
        given = gather_references(restorer, [self.read(item) for item in wish.references], None, wish.settings.strict)
        led_by: References | People = given
        if wish.everybody:
            led_by, _ = everybody(restorer, self.library, wish.settings.strict)
        elif wish.person is not None:
            person = self.find(wish.person)
            if isinstance(restorer, Restorer) and isinstance(restorer.method, Personal):
                base = restorer.method.base_hash()
                restorer.load_adapter(find_adapter(self.library, person, wish.method, base))
            led_by = one_person(restorer, self.library, person, given, wish.settings.strict)
        wish.settings.choice.check(names_of(led_by))
        return restorer, led_by

    def check_wish(self, wish: Wish) -> None:
        """Refuse what can be seen to be impossible before any network is loaded.

        Raises:
            RecipeError: a method that the family has not, or everybody and one person at once.
            NotThereError: nobody is called like that.
            KeepfaceError: everybody is wanted, and the library holds nobody.
        """
        if wish.method not in self.methods():
            raise RecipeError(f"method {wish.method!r} is not to be had here; use one of {', '.join(self.methods())}")
        if wish.everybody and (wish.person is not None or wish.references):
            raise RecipeError("everybody of the library, or one person; not both")
        if wish.person is None and hasattr(METHODS.get(wish.method), "load_adapter"):
            raise RecipeError(f"method {wish.method!r} restores one person whom it has learned; name a person")
        if wish.everybody and not self.people():
            raise KeepfaceError("the library holds nobody yet; add a person, or send references with the photo")
        if wish.person is not None:
            self.find(wish.person)

    def who(self, wish: Wish) -> tuple[str, ...]:
        """Name those of the library who may be in what a wish makes."""
        if wish.person is not None:
            return (wish.person,)
        return tuple(person.name for person in self.people()) if wish.everybody else ()

    # ---- training ----

    def train(self, name: str, progress: Progress | None = None, steps: int = 500, seed: int = 0) -> Trained:
        """Learn a person from their best photos, where the family has the method for it; a stopped run goes on.

        Raises:
            RecipeError: the family has no such method.
            KeepfaceError: the person has no photo that is fit.
        """
        self.check_training(name)
        person = self.find(name)
        method = METHODS[LEARNING].load(
            Family.from_pretrained(self.settings.family, choose_device(self.settings.device))
        )
        assert isinstance(method, Tunable)
        checkup = check_person(self.library, person, self.networks())
        chosen = choose_photos(self.library, person, checkup, method.family.size)
        advance = None if progress is None else (lambda done, of, _: progress(done, of))
        tune = TuneSettings(steps=steps, seed=seed)
        return train_person(self.library, person, method, chosen, tune, Asked(progress=advance))

    def check_training(self, name: str) -> None:
        """Refuse a training that can't be; errors are those of `train`."""
        self.find(name)
        if LEARNING not in self.methods():
            raise RecipeError(
                f"nobody can be learned here: the family {self.family_name} has no {LEARNING} base; "
                "start keepface serve with a --family that has one"
            )


def _named(looked: tuple[Intake, dict[str, str]]) -> Intake:
    """Put the callers' names in the place of ours."""
    intake, names = looked
    short = {Path(path).name: name for path, name in names.items()}
    accepted = tuple(
        dataclasses.replace(photo, record=dataclasses.replace(photo.record, name=short[photo.record.name]))
        for photo in intake.accepted
    )

    def told(item: Refused) -> Refused:
        reason = item.reason
        for ours, theirs in short.items():
            reason = reason.replace(ours, theirs)
        return Refused(names.get(item.source, item.source), reason)

    return Intake(accepted, tuple(map(told, intake.duplicates)), tuple(map(told, intake.refused)))
