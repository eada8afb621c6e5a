"""keepface bench: measure a family on photos with known people, and write the table."""

from pathlib import Path
from typing import Annotated

import typer

from keepface.cli.show import progress, say, say_json


def bench(
    data: Annotated[Path, typer.Option(help="Folder of shards, or a prepared pack.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.", show_default=False)],
    suite: Annotated[str, typer.Option(help="What to measure.")] = "compact",
    family: Annotated[str, typer.Option(help="Networks: a bundled name, a folder or a hub id.")] = "compact",
    method: Annotated[str, typer.Option(help="Published system to restore by.")] = "faceme",
    steps: Annotated[int, typer.Option(help="Sampling steps.")] = 20,
    seed: Annotated[int, typer.Option(help="Of degradations and start noise.", min=0)] = 0,
    limit: Annotated[int | None, typer.Option(help="Only the first so many people.", min=1)] = None,
    batch: Annotated[int, typer.Option(help="Faces restored together.", min=1)] = 4,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure restorations; the same command goes on where it was stopped."""
    from keepface.bench.run import run_suite
    from keepface.bench.suite import BenchSettings
    from keepface.engine.settings import RestoreSettings

    settings = BenchSettings(family, method, device, RestoreSettings(steps=steps), seed=seed, limit=limit, batch=batch)
    with progress(suite) as advance:
        outcome = run_suite(suite, data, output, settings, progress=advance)
    if as_json:
        say_json(
            {
                "report": str(outcome.report),
                "measured": outcome.measured,
                "kept": outcome.kept,
                "not_measured": outcome.not_measured,
            }
        )
        return
    say(f"{outcome.report}: {outcome.measured} pictures measured, {outcome.kept} kept from an earlier run")
    if outcome.not_measured:
        say(f"{outcome.not_measured} could not be measured; the report says why")
