"""keepface redo: a result made again, byte for byte, by the recipe that --sidecar wrote beside it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepface.cli.paths import photos_of
from keepface.cli.show import progress, say, tell

if TYPE_CHECKING:
    from keepface.engine.matching import People
    from keepface.engine.references import References
    from keepface.engine.sidecar import Sidecar
    from keepface.engine.whole import PictureRestorer


def redo(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="OUT.keepface.json, as --sidecar wrote it.")],
    photo: Annotated[Path, typer.Option("--input", metavar="PHOTO", help="The photo as it was.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, of the same format as then.")],
    ref: Annotated[list[Path] | None, typer.Option(metavar="PHOTO", help="The references, in any order.")] = None,
    person: Annotated[str | None, typer.Option(metavar="NAME", help="The person of the library who led.")] = None,
    people: Annotated[bool, typer.Option("--people", help="Everybody of the library was looked for.")] = False,
    library: Annotated[Path | None, typer.Option(envvar="KEEPFACE_LIBRARY", help="The library's folder.")] = None,
    family: Annotated[str | None, typer.Option(help="Where the networks are now; default: by their name.")] = None,
    adapter: Annotated[Path | None, typer.Option(metavar="FILE", help="What pfstorer learned of a person.")] = None,
    even_if_different: Annotated[
        bool, typer.Option("--even-if-different", help="Write what comes out, also when it is not the same.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
) -> None:
    """Make a result again by its recipe; refuse, with the reason, when files, networks or bytes are others."""
    from keepface.engine.redo import redo as made_again
    from keepface.engine.sidecar import Machine, check_output, check_photo, read_sidecar
    from keepface.errors import KeepfaceError, OutputExistsError, PhotoError
    from keepface.image.endings import FORMATS
    from keepface.image.files import write_bytes

    sidecar = read_sidecar(recipe)
    if FORMATS.get(output.suffix.lower()) != sidecar.output_format:
        endings = ", ".join(ending for ending, form in FORMATS.items() if form == sidecar.output_format)
        raise PhotoError(f"{output}: the result was {sidecar.output_format}; use one of {endings}")
    if os.path.exists(output) and not force:
        raise OutputExistsError(f"{output}: exists already; choose another name, or replace it with --force")
    check_photo(sidecar, photo)
    restorer = None if sidecar.is_copy else _load(sidecar, family, adapter)
    references = _references(
        sidecar, restorer, photos_of(ref or [], "--ref"), person, library if people or person else None, people
    )
    with progress(photo.name) as advance:
        data = made_again(sidecar, restorer, photo, references, advance)
    machine = sidecar.machine
    try:
        check_output(sidecar, data, Machine.here(machine.device, machine.precision, machine.low_memory))
    except KeepfaceError as error:
        if not even_if_different:
            raise
        tell(f"written all the same: {error}")
        write_bytes(data, output, force)
        return
    write_bytes(data, output, force)
    say(f"{output}: the same {len(data):,} bytes as then")


def _load(sidecar: "Sidecar", family: str | None, adapter: Path | None) -> "PictureRestorer":
    """Load the recipe's networks, to compute as it did."""
    import torch

    from keepface.cli.restore_call import Model

    maker, machine = sidecar.maker, sidecar.machine
    if machine.device == "cpu":
        torch.set_num_threads(machine.threads)
    cleans = bool(sidecar.options.settings.clean)
    precision = {"bfloat16": "bf16", "float16": "fp16"}.get(machine.precision, machine.precision)
    family = family or maker.family or "compact"
    place, sparing = machine.device, machine.low_memory
    return Model(maker.method, family, place, precision, False, cleans, adapter, sparing).load()


def _references(
    sidecar: "Sidecar",
    restorer: "PictureRestorer | None",
    given: list[Path],
    person: str | None,
    library: Path | None,
    everybody_leads: bool,
) -> "References | People":
    """Gather what led the result, and refuse anything else."""
    from keepface.cli.people import everybody
    from keepface.cli.person import open_people, references_of
    from keepface.cli.person_train import take_adapter
    from keepface.engine.references import References, gather_references
    from keepface.engine.sidecar import check_people, in_order

    if restorer is None:
        return References()
    strict = sidecar.options.settings.strict
    files = in_order(sidecar, given)
    people = open_people(library) if person is not None or everybody_leads else None
    if people is not None and everybody_leads:
        all_of_them = everybody(restorer, people, strict)
        check_people(sidecar, all_of_them.known)
        return all_of_them
    weights = [item.weight for item in sidecar.sources.references] if files else None
    references = gather_references(restorer, files, weights, strict)
    if people is None or person is None:
        check_people(sidecar, ())
        return references
    take_adapter(restorer, people, person)
    references = references_of(restorer, people, person, references, strict)
    check_people(sidecar, (references,))
    return references
