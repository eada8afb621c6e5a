"""keepface degrade: a clean photo in, a bad one out, the same one from the same seed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepface.cli.show import say
from keepface.errors import DataError, OutputExistsError, RecipeError

if TYPE_CHECKING:
    from keepface.degrade.drawn import Step


def degrade(
    clean: Annotated[Path, typer.Argument(help="Photo to degrade.", show_default=False)],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.", show_default=False)],
    preset: Annotated[
        str | None, typer.Option(help="light, medium, heavy, full, pf-light, ...; default: medium.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same picture; default: 0.", min=0)] = None,
    draw_json: Annotated[Path | None, typer.Option(help="Also write what was drawn to this file.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Repeat what an earlier --draw-json wrote.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Degrade a clean photo: blur, shrink, noise, JPEG, enlarge, and what else the preset holds."""
    if replay and (preset is not None or seed is not None):
        raise typer.BadParameter("repeats a draw as it was; leave out --preset and --seed", param_hint="--replay")
    from keepface.degrade import chains
    from keepface.image.files import read_photo, with_pixels

    if output.resolve() == clean.resolve():
        raise RecipeError(f"{output}: is the clean photo itself; give another name")
    if draw_json and draw_json.exists() and not force:
        raise OutputExistsError(f"{draw_json}: exists already; choose another name, or replace it with --force")
    photo = read_photo(clean)
    height, width = photo.pixels.shape[1:]
    steps = _read(replay, (height, width)) if replay else _draw(preset or "medium", seed or 0, (height, width))
    with_pixels(photo, chains.replay(steps, photo.pixels)).save(output, force)
    if draw_json:
        _write(draw_json, chains.to_json(steps) + "\n")
    say(f"{clean} -> {output}  {', '.join(_words(step) for step in steps) or 'as it was'}")


def _draw(preset: str, seed: int, shape: tuple[int, int]) -> "tuple[Step, ...]":
    from keepface.degrade.chains import PRESETS, draw
    from keepface.seeds import numpy_generator

    if preset not in PRESETS:
        raise RecipeError(f"preset {preset!r} is unknown; use {', '.join(PRESETS)}")
    return draw(PRESETS[preset], numpy_generator(seed, "degrade"), shape)


def _read(path: Path, shape: tuple[int, int]) -> "tuple[Step, ...]":
    from keepface.degrade.chains import from_json

    try:
        steps = from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: can't be read: {error}") from None
    sizes = [(int(step.values["height"]), int(step.values["width"])) for step in steps if "height" in step.values]
    if sizes and len(sizes) > 1 and sizes[-1] != shape:
        raise DataError(
            f"{path}: was drawn for a photo of {sizes[-1][1]} x {sizes[-1][0]}; this one is {shape[1]} x {shape[0]}"
        )
    return steps


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name[:100]}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise DataError(f"{path}: can't be written: {error.strerror or error}") from None
    finally:
        aside.unlink(missing_ok=True)


def _words(step: "Step") -> str:
    values = step.values
    if "height" in values:
        return f"{values['width']} x {values['height']}"
    if "quality" in values:
        return f"JPEG {values['quality']}"
    if "sigma_x" in values:
        return f"{step.kind} {values['sigma_x']:.1f} x {values['sigma_y']:.1f} px"
    return f"{step.kind} {values['sigma']:.1f}" if "sigma" in values else step.kind
