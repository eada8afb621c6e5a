"""keepface bench: measure methods on photos of known people, and write the tables."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepface.cli.show import progress, say, say_json

if TYPE_CHECKING:
    from keepface.bench.run import Outcome

Data = Annotated[
    Path, typer.Option(help="Shards, a prepared pack, or folders of people (person/photo.jpg).", show_default=False)
]
NAMES = "; several by commas or by giving the option again"
Suite = Annotated[str, typer.Option(help="compact, methods, guided, references, alignment or protocol.")]
Families = Annotated[
    list[str] | None,
    typer.Option(help=f"Networks: a bundled name, a folder or a hub id{NAMES}.", show_default="compact"),
]
Methods = Annotated[
    list[str] | None, typer.Option(help=f"Published systems{NAMES}.", show_default="faceme, of suite guided guided")
]
BlindOnes = Annotated[
    list[str] | None, typer.Option(help="A restorer without references, NAME=FILE.safetensors; may be given again.")
]
Metrics = Annotated[
    list[str] | None, typer.Option(help=f"Only these metrics, or all{NAMES}.", show_default="the suite's")
]
Clean = Annotated[
    bool | None,
    typer.Option("--clean/--no-clean", help="Send low pictures through the family's cleaner first; default: its own."),
]
Guidance = Annotated[float | None, typer.Option(help="Guidance scale; default: each family's own.")]
Temperature = Annotated[float | None, typer.Option(help="Start noise, 0..1; default: each family's own.")]
Fidelity = Annotated[
    float | None, typer.Option(help="Share of the photo's own drawing, 0..1; default: each family's own.")
]
Presets = Annotated[list[str] | None, typer.Option(help=f"Only these degradations{NAMES}.", show_default="the suite's")]
Rows = Annotated[
    list[str] | None, typer.Option(help=f"Only these rows of the tables, and the input{NAMES}.", show_default="all")
]

Structure = Annotated[str, typer.Option(help="Sampling starts from the photo, or from what guided makes.")]
Damage = Annotated[
    int | None,
    typer.Option(
        help="Degrade as hard on the face as in squares of this side, px; 0: as in the squares' own.",
        show_default="the suite's",
        min=0,
    ),
]


def bench(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.", show_default=False)],
    suite: Suite = "compact",
    family: Families = None,
    method: Methods = None,
    blind: BlindOnes = None,
    metric: Metrics = None,
    preset: Presets = None,
    row: Rows = None,
    size: Annotated[int | None, typer.Option(help="Side of the squares, px.", show_default="the family's")] = None,
    damage_px: Damage = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the family's own number.")] = None,
    guidance: Guidance = None,
    temperature: Temperature = None,
    fidelity: Fidelity = None,
    clean: Clean = None,
    structure: Structure = "photo",
    seed: Annotated[int, typer.Option(help="Of degradations and start noise.", min=0)] = 0,
    limit: Annotated[int | None, typer.Option(help="Only the first so many people.", min=1)] = None,
    pictures: Annotated[int, typer.Option(help="People shown in the grids.", min=0)] = 6,
    batch: Annotated[int, typer.Option(help="Faces restored together.", min=1)] = 4,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure restorations; the same command goes on where it was stopped."""
    from keepface.bench.run import run_suite
    from keepface.bench.settings import BenchSettings, parse_blind
    from keepface.config import from_dict
    from keepface.engine.settings import RestoreSettings
    from keepface.methods import ONE_PASS
    from keepface.metrics.table import METRICS, SET_METRICS

    named = _names(metric)
    chosen: dict[str, Any] = {"steps": steps, "guidance": guidance, "temperature": temperature}
    chosen |= {"fidelity": fidelity, "clean": clean, "structure": structure}
    settings = BenchSettings(
        families=_names(family) or ("compact",),
        methods=_names(method) or (suite if suite in ONE_PASS else "faceme",),
        blind=tuple(parse_blind(item) for item in blind or ()),
        device=device,
        restore=from_dict(
            RestoreSettings, {name: value for name, value in chosen.items() if value is not None}, "bench"
        ),
        metrics=(*METRICS, *SET_METRICS) if named == ("all",) else named,
        damage_px=damage_px,
        presets=_names(preset),
        rows=_names(row),
        size=size,
        seed=seed,
        limit=limit,
        pictures=pictures,
        batch=batch,
    )
    _check_cleaners(settings.families if clean else ())
    with progress(suite) as advance:
        outcome = run_suite(suite, data, output, settings, progress=advance)
    _tell(outcome, as_json)


def _tell(outcome: "Outcome", as_json: bool) -> None:
    """Say what was measured and where the report is."""
    if as_json:
        say_json(asdict(outcome) | {"report": str(outcome.report)})
        return
    say(f"{outcome.report}: {outcome.measured} pictures measured, {outcome.kept} kept from an earlier run")
    if outcome.not_measured:
        say(f"{outcome.not_measured} could not be measured; the report says why")


def _check_cleaners(families: Iterable[str]) -> None:
    """Refuse families without a cleaner before anything is measured."""
    from keepface.diffusion.cleaner import check_cleaner
    from keepface.diffusion.family import locate

    for name in families:
        check_cleaner(locate(name))


def _names(given: list[str] | None) -> tuple[str, ...]:
    return tuple(name.strip() for item in given or () for name in item.split(",") if name.strip())
