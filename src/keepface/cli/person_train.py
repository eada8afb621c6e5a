"""keepface person train: a person of the library is learned, once, from their best photos."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepface.cli.person import AsJson, Folder, Name, open_people
from keepface.cli.show import progress, say, say_json, tell
from keepface.errors import RecipeError, WeightsError

if TYPE_CHECKING:
    from keepface.engine.whole import PictureRestorer
    from keepface.people.store import Library
    from keepface.train.person_run import Chosen, Trained
    from keepface.train.personalise import Tunable

VARIANTS = ("personal", "vico")
RECIPE = "recipes/compact/pfstorer-base.toml"


def train(
    name: Name,
    family: Annotated[str, typer.Option(help="Networks: a bundled name, a folder or a hub id.")] = "compact",
    method: Annotated[str, typer.Option(help="Published system; pfstorer alone learns people.")] = "pfstorer",
    variant: Annotated[str, typer.Option(help="personal, or the ablation vico: without gammas.")] = "personal",
    steps: Annotated[int, typer.Option(help="Steps of training.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="The same seed learns the same.", min=0)] = 0,
    preview: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PNG to see how far it is in; else one in the library.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever was learned before.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.")] = None,
    library: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Learn a person from their 3 to 5 best photos; the same command goes on where it was stopped."""
    started = time.perf_counter()
    if variant not in VARIANTS:
        raise RecipeError(f"--variant {variant!r} is unknown; use one of {', '.join(VARIANTS)}")
    people = open_people(library)
    found = people.find(name)
    tunable = _load(method, family, device)
    from keepface.people.checkup import check_person
    from keepface.people.features import Networks
    from keepface.train.person_run import FEWEST, Asked, choose_photos, train_person
    from keepface.train.personalise import TuneSettings

    with progress("photos") as advance:
        checkup = check_person(people, found, Networks.load(), advance)
    chosen = choose_photos(people, found, checkup, tunable.family.size)
    if len(chosen.names) < FEWEST:
        tell(f"only {len(chosen.names)} of {found.name}'s photos fit to learn from, {FEWEST} to 5 are best: see check")
    if people.is_locked and preview is None:
        tell("a locked library keeps no previews; --preview FILE writes them in the open")
    settings = TuneSettings(variant=variant, steps=steps, seed=seed)  # type: ignore[arg-type]
    with progress(found.name) as advance:
        asked = Asked(restart, preview, lambda done, steps, loss: advance(done, steps))
        trained = train_person(people, found, tunable, chosen, settings, asked)
    _tell(found.name, method, family, chosen, trained, time.perf_counter() - started, as_json)


def take_adapter(restorer: "PictureRestorer", people: "Library", name: str) -> None:
    """Load what a method has learned of a person of the library; methods that learn nobody are left as they are.

    Raises:
        KeepfaceError: the person was not trained for the method over its family.
        WeightsError: the adapter is damaged, or was learned over another base.
    """
    from keepface.methods.method import Personal
    from keepface.people.adapters import find_adapter

    method = restorer.method
    if isinstance(method, Personal):
        method.load_adapter(find_adapter(people, people.find(name), method.name, method.base_hash()))


def _load(name: str, family: str, device: str | None) -> "Tunable":
    """Load the base that a person is learned over, in float32."""
    from diffusers.utils.logging import disable_progress_bar

    from keepface.device import choose_device
    from keepface.diffusion.family import Family, locate
    from keepface.methods import METHODS
    from keepface.train.personalise import Tunable

    fitting = [item for item, kind in METHODS.items() if hasattr(kind, "load_adapter")]
    if name not in fitting:
        raise RecipeError(f"--method {name!r} learns no single person; use {' or '.join(fitting)}")
    disable_progress_bar()
    if not (locate(family) / name).is_dir():
        raise WeightsError(
            f"family {family!r} has no {name} base, which people are learned over; train one first: keepface train "
            f"{RECIPE} --data DATA --out RUN --set init_from={family}, then give --family RUN/family"
        )
    method = METHODS[name].load(Family.from_pretrained(family, choose_device(device)))
    assert isinstance(method, Tunable)
    return method


def _tell(
    name: str, method: str, family: str, chosen: "Chosen", trained: "Trained", seconds: float, as_json: bool
) -> None:
    if as_json:
        say_json(
            {
                "name": name,
                "adapter": trained.adapter,
                "method": method,
                "family": family,
                "photos": list(chosen.names),
                "steps": trained.steps,
                "began_at": trained.began_at,
                "trained": trained.is_new,
                "preview": None if trained.preview is None else str(trained.preview),
                "seconds": round(seconds, 3),
            }
        )
        return
    if not trained.is_new:
        say(f"{name} is trained already ({trained.adapter}) on these photos; --restart learns anew")
        return
    went_on = f", gone on from step {trained.began_at}" if trained.began_at else ""
    say(f"{name}: learned from {', '.join(chosen.names)} in {trained.steps} steps{went_on}, {seconds / 60:.1f} min")
    if trained.preview is not None:
        say(f"  last preview, low beside restored: {trained.preview}")
    say(f"  keepface restore PHOTO --person {name} --method {method} --family {family} -o OUT")
