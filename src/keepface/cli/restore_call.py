"""What a call of `keepface restore` asks for, read from its options."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from keepface.cli.paths import Jobs, photos_of, plan
from keepface.errors import RecipeError

if TYPE_CHECKING:
    from keepface.engine.choice import Choice, Knobs
    from keepface.engine.settings import RestoreSettings
    from keepface.engine.whole import PictureRestorer
    from keepface.image.limits import Limits

Options = Mapping[str, Any]  # of one call, by the names they have in the command's signature
SETTINGS = (  # options that are settings by the same name
    *("steps", "sampler", "guidance", "temperature", "fidelity", "clean", "identity", "colour", "keep_worse"),
    "structure",
    *("tile", "scale", "max_pixels", "strict", "max_faces", "harmonise"),
)
KNOB = "write it as NAME:fidelity=0.6,identity=0.8, or with a face's number in place of the name"


@dataclass(frozen=True)
class Model:
    """Which networks to restore with, where, and how precisely."""

    method: str | None
    family: str
    device: str | None
    precision: str | None
    keeps_features: bool = False  # of the references, in the user's cache folder
    cleans: bool | None = None  # low faces first, so that a family without a cleaner is told before the work
    adapter: Path | None = None  # what the method learned of a person
    low_memory: bool = False

    def load(self) -> "PictureRestorer":
        """Load the networks, without diffusers' own progress bars: a call has one bar, its photo's."""
        from diffusers.utils.logging import disable_progress_bar

        from keepface.cli.cache import features_folder
        from keepface.diffusion.cleaner import check_cleaner
        from keepface.diffusion.family import locate
        from keepface.engine.restorer import Restorer

        disable_progress_bar()
        if self.cleans:
            check_cleaner(locate(self.family))
        cache = features_folder() if self.keeps_features else None
        return Restorer.from_pretrained(
            self.family, self.method, self.device, self.precision, cache, self.adapter, self.low_memory
        )


@dataclass(frozen=True)
class Call:
    """All of one call of the command."""

    jobs: Jobs
    references: tuple[Path, ...]
    weights: tuple[float, ...] | None
    settings: "RestoreSettings"
    limits: "Limits"
    seed: int
    is_aligned: bool | None
    force: bool
    person: str | None = None  # of the library
    everybody: bool = False  # of the library, each face its own
    library: Path | None = None


def read_model(options: Options) -> Model:
    """Take what says which networks restore."""
    names = ("method", "family", "device", "precision", "cache", "clean", "adapter", "low_memory")
    return Model(*(options[name] for name in names))


def read_jobs(options: Options) -> Jobs:
    """Find the photos, and name their outputs.

    Raises:
        typer.BadParameter: a reference that is missing, outputs that clash, --people with one person's references.
    """
    references = read_references(options)
    if options["people"] and (references or options["person"]):
        raise typer.BadParameter("everybody of the library, or one person; not both", param_hint="--people")
    return plan(options["inputs"], options["output"], references, options["recursive"])


def read_references(options: Options) -> list[Path]:
    """Return the files of --ref, and the photos of its folders."""
    return photos_of(options["ref"] or [], "--ref")


def read_call(options: Options, jobs: Jobs) -> Call:
    """Take all else, and refuse what can't be meant.

    Raises:
        RecipeError: a setting out of range.
    """
    from keepface.config import from_dict
    from keepface.engine.settings import RestoreSettings
    from keepface.image.limits import Limits

    references = read_references(options)
    weights = tuple(options["ref_weight"]) if options["ref_weight"] else None
    chosen = {name: options[name] for name in SETTINGS if options[name] is not None} | {"choice": _choice(options)}
    settings = from_dict(RestoreSettings, chosen, "restore")
    if weights is not None and len(weights) != len(references):
        raise RecipeError(
            f"{len(references)} references and {len(weights)} --ref-weight; give one weight for each, or none"
        )
    return Call(
        jobs,
        tuple(references),
        weights,
        settings,
        Limits(options["max_pixels"], allow_truncated=options["allow_truncated"]),
        options["seed"],
        options["aligned"],
        options["force"],
        options["person"],
        options["people"],
        options["library"],
    )


def _choice(options: Options) -> "Choice":
    from keepface.engine.choice import Choice

    return Choice(
        tuple(options["only"] or ()),
        tuple(options["skip"] or ()),
        options["min_face"],
        options["min_score"],
        tuple(read_knobs(text) for text in options["for_"] or ()),
    )


def read_knobs(text: str) -> "Knobs":
    """Read the knobs of one face or person, such as anna:fidelity=0.6,identity=0.8.

    Raises:
        RecipeError: it says how to write them.
    """
    from keepface.engine.choice import Knobs

    who, _, words = text.rpartition(":")
    values: dict[str, float] = {}
    for name, equals, value in (word.partition("=") for word in words.split(",")):
        if name.strip() not in ("fidelity", "identity") or not equals or not _is_number(value):
            raise RecipeError(f"--for {text}: {KNOB}")
        values[name.strip()] = float(value)
    if not who:
        raise RecipeError(f"--for {text}: {KNOB}")
    return Knobs(who.strip(), values.get("fidelity"), values.get("identity"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
