"""Tune a person of the library: their best photos in, an adapter into the library, the run kept there meanwhile.

    Varanka et al. 2024, "PFStorer: Personalized face restoration and super-resolution", CVPR  [PFStorer]

A run is one file of the person's folder, so that it is for the owner alone, is deleted with the person, and is sealed
in a locked library: a checkpoint holds the references' latents, which are pictures.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from keepface.errors import KeepfaceError, OutputExistsError, RecipeError, WeightsError
from keepface.faces.surroundings import with_surroundings
from keepface.image.files import Photo, to_uint8, write_photo
from keepface.people.adapters import adapter_name
from keepface.people.checkup import Checkup
from keepface.people.person import Person
from keepface.people.store import Library
from keepface.train import checkpoint
from keepface.train.checkpoint import TrainState
from keepface.train.personalise import MARGIN, Callbacks, Tunable, TuneSettings, plan, plan_digest, tune
from keepface.weights.in_memory import from_bytes

FEWEST, MOST = 3, 5  # photos
PNG = ".png"
LARGEST = 2.0  # ours: side of a photo that squares are cut from, over the family's square


@dataclass(frozen=True, eq=False)
class Chosen:
    """The photos a person is tuned on: their names, and squares with the face in the middle."""

    names: tuple[str, ...]
    squares: tuple[Float[Tensor, "3 _ _"], ...]


@dataclass(frozen=True)
class Asked:
    """How a call goes about it; none of it changes what is learned."""

    restart: bool = False  # begin anew, whatever was learned before
    preview: Path | None = None  # PNG that shows how far it is; None: one in the library, if that has no lock
    progress: Callable[[int, int, float], None] | None = None


@dataclass(frozen=True)
class Trained:
    """What a call did."""

    adapter: str  # its name in the library
    steps: int
    began_at: int  # the step that the call went on from
    preview: Path | None  # the last one
    is_new: bool = True  # False: it was trained by this very plan already, and nothing was done


def choose_photos(library: Library, person: Person, checkup: Checkup, size: int) -> Chosen:
    """Cut the faces of a person's best photos, at most five, unturned and with a margin for squares of `size` pixels.

    Raises:
        KeepfaceError: no photo is fit.
        PhotoError: a linked photo is gone.
    """
    fit = checkup.fit()[:MOST]
    if not fit:
        raise KeepfaceError(
            f"{person.name} has no photo that is fit to learn from: keepface person check {person.name}"
        )
    sides = (round(MARGIN * size), round(LARGEST * size))
    squares = [
        with_surroundings(library.photo(person, item.record).pixels, item.features.face.points, MARGIN, sides)
        for item in fit
    ]
    return Chosen(tuple(item.record.name for item in fit), tuple(squares))


def train_person(
    library: Library,
    person: Person,
    method: Tunable,
    chosen: Chosen,
    settings: TuneSettings,
    asked: Asked = Asked(),  # noqa: B008 - frozen
) -> Trained:
    """Tune a person and put the adapter into the library; the same call goes on where an earlier one was stopped.

    Raises:
        RecipeError: a run of this person over this base was begun with other photos or settings.
        KeepfaceError: another process trains the person, or they were forgotten meanwhile.
        OutputExistsError: the preview would replace a file that no earlier call wrote.
    """
    name = adapter_name(method.name, method.base_hash())
    with library.only_run(person):
        run = KeptInLibrary(library, person, name)
        if asked.restart:
            run.end()
        elif not run.is_begun and _learned_by(library, person, name) == plan_digest(
            plan(method, chosen.squares, settings)
        ):
            return Trained(name, settings.steps, settings.steps, None, is_new=False)
        previews = Previews(library, person, name, asked.preview, run.is_begun)
        callbacks = Callbacks(asked.progress, previews.show if previews.are_wanted else None)
        notes = tune(method, chosen.squares, run, settings, callbacks=callbacks)
        told = {**notes, "method": method.name, "family": method.family.card.name, "photos": str(len(chosen.names))}
        library.write_adapter(person, name, method.adapter(told))
        run.end()
    return Trained(name, settings.steps, run.began_at, previews.last)


class KeptInLibrary:
    """A run as one file of a person's folder; `keepface.train.personalise.Keeping` says what the calls are."""

    def __init__(self, library: Library, person: Person, name: str) -> None:
        self._library, self._person, self._name = library, person, name
        self._plan = ""
        self.began_at = 0  # steps that were done when this call went on

    @property
    def is_begun(self) -> bool:
        """Tell whether an earlier call left a checkpoint."""
        return self._library.has_run(self._person, self._name)

    def begin(self, plan: str) -> None:
        """Write down what the run is."""
        self._plan = plan
        if self.is_begun and checkpoint.notes_of(self._read(), self._where).get("plan") != plan:
            raise RecipeError(
                f"{self._where}: begun with other photos or settings and not finished; go on with those, "
                "or begin anew with --restart"
            )

    def resume(self, state: TrainState) -> None:
        """Load the checkpoint into `state`, if there is one."""
        if self.is_begun:
            checkpoint.unpack(state, self._read(), self._where)
            self.began_at = state.step

    def save(self, state: TrainState) -> None:
        """Write a checkpoint in the place of the one before."""
        self._library.write_run(self._person, self._name, checkpoint.packed(state, {"plan": self._plan}))

    def end(self) -> None:
        """Delete the checkpoint."""
        self._library.end_run(self._person, self._name)

    def _read(self) -> bytes:
        return self._library.read_run(self._person, self._name)

    @property
    def _where(self) -> str:
        return f"the training of {self._person.name}"


class Previews:
    """Pairs of pictures, low beside restored, each in the place of the one before.

    In the library they are kept only where it has no lock, for nobody could look at a sealed one.

    Raises:
        RecipeError: the file asked for is no PNG.
        OutputExistsError: it is there, and no run is going on that may have written it.
    """

    def __init__(self, library: Library, person: Person, name: str, file: Path | None, goes_on: bool) -> None:
        self._library, self._person, self._name, self._file = library, person, name, file
        self.last: Path | None = None
        if file is not None and file.suffix.lower() != PNG:
            raise RecipeError(f"{file}: a preview is a PNG; name a file that ends in {PNG}")
        if file is not None and file.exists() and not goes_on:
            raise OutputExistsError(f"{file}: exists already; choose another name for the preview")

    @property
    def are_wanted(self) -> bool:
        """Tell whether there is a place for previews."""
        return self._file is not None or not self._library.is_locked

    def show(self, step: int, low: Float[Tensor, "3 s s"], restored: Float[Tensor, "3 s s"]) -> None:
        """Write a pair."""
        pair = torch.cat([low.float().cpu(), restored.float().cpu()], dim=2)
        if self._file is not None:
            write_photo(Photo(pair), self._file, force=True)
            self.last = self._file
            return
        out = io.BytesIO()
        Image.fromarray(to_uint8(pair)).save(out, "PNG")
        self.last = self._library.write_run(self._person, f"{self._name}{PNG}", out.getvalue())


def _learned_by(library: Library, person: Person, name: str) -> str:
    """Return the digest of the plan that a person's adapter was learned by; empty when there is none to be read."""
    if name not in library.adapters(person):
        return ""
    try:
        return from_bytes(library.read_adapter(person, name), name)[1].get("plan", "")
    except (WeightsError, KeepfaceError):
        return ""
