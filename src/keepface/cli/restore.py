"""keepface restore: photos in, photos with their faces restored out."""

import os
from pathlib import Path
from typing import Annotated

import typer

from keepface.cli.many import album_or_photos, read_many
from keepface.cli.outputs import read_outputs
from keepface.cli.restore_call import read_call, read_jobs, read_model
from keepface.cli.restore_words import Telling, tell_left_out
from keepface.cli.show import FAILED

Words = list[str] | None  # an option that may be repeated
Recursive = Annotated[bool, typer.Option("--recursive", help="Of folders, take what is in their folders too.")]
Method = Annotated[
    str | None, typer.Option(help="guided, faceme, ridfr or pfstorer; default: guided, with --family faceme.")
]
Structure = Annotated[str, typer.Option(help="Sampling starts from the photo, or from what guided makes.")]


def restore(
    ctx: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Photos, or folders of photos.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; a folder for several photos.")],
    ref: Annotated[list[Path] | None, typer.Option(metavar="PHOTO...", help="The person, elsewhere.")] = None,
    recursive: Recursive = False,
    person: Annotated[str | None, typer.Option(metavar="NAME", help="Person of the library; --ref adds to it.")] = None,
    people: Annotated[bool, typer.Option("--people", help="Each face by its own person of the library.")] = False,
    library: Annotated[Path | None, typer.Option(envvar="KEEPFACE_LIBRARY", help="The library's folder.")] = None,
    ref_weight: Annotated[list[float] | None, typer.Option(help="Weight 0..1 of each --ref, in order.")] = None,
    only: Annotated[Words, typer.Option(metavar="NAME|N", help="Faces to restore; 1 is the largest.")] = None,
    skip: Annotated[Words, typer.Option(metavar="NAME|N", help="Faces to leave alone.")] = None,
    min_face: Annotated[float, typer.Option(help="Leave narrower faces alone, px.", min=0)] = 0.0,
    min_score: Annotated[float, typer.Option(help="Leave what is less surely a face alone, 0..1.")] = 0.0,
    for_: Annotated[Words, typer.Option("--for", metavar="NAME|N:KNOBS", help="As anna:identity=0.8")] = None,
    method: Method = None,
    family: Annotated[str, typer.Option(help="Networks: a bundled name, a folder or a hub id.")] = "compact",
    adapter: Annotated[Path | None, typer.Option(metavar="FILE", help="What pfstorer learned of a person.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the family's own number.")] = None,
    sampler: Annotated[str, typer.Option(help="unipc, ddim, or ddpm as FaceMe published; 50 steps.")] = "unipc",
    seed: Annotated[int, typer.Option(help="The same seed makes the same picture.", min=0)] = 0,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; default: the method's own.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Start noise, 0..1; less invents less.")] = None,
    fidelity: Annotated[float | None, typer.Option(help="0 draws faces anew, 1 hardly; default: the family's.")] = None,
    clean: Annotated[bool | None, typer.Option("--clean/--no-clean", help="Clean first; default: as learned.")] = None,
    structure: Structure = "photo",
    identity: Annotated[float, typer.Option(help="Strength of the references, 0..1.")] = 1.0,
    colour: Annotated[str, typer.Option(help="Colours from the input: wavelet, adain or none.")] = "wavelet",
    harmonise: Annotated[bool, typer.Option(help="Match the photo's grain and blur.")] = True,
    aligned: Annotated[bool | None, typer.Option("--aligned/--not-aligned", help="Is INPUT a face square?")] = None,
    tile: Annotated[bool | None, typer.Option("--tile/--no-tile", help="The whole picture, by tiles.")] = None,
    scale: Annotated[float, typer.Option(help="Enlarge the whole picture 1 to 20 times, by tiles.")] = 1.0,
    keep_worse: Annotated[bool, typer.Option("--keep-worse", help="Keep faces that became less like --ref.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse doubtful references.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, bf16 or fp16.")] = None,
    low_memory: Annotated[bool, typer.Option("--low-memory", help="Networks larger than memory; slow.")] = False,
    max_pixels: Annotated[int | None, typer.Option(help="Refuse larger photos; default: by the memory.", min=1)] = None,
    allow_truncated: Annotated[bool, typer.Option("--allow-truncated", help="Read JPEGs that are cut short.")] = False,
    max_faces: Annotated[int, typer.Option(help="Refuse photos with more faces.", min=1)] = 50,
    cache: Annotated[bool, typer.Option("--cache", help="Keep the references' features for next time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Restore the faces in photos, guided by other photos (--ref) of the person, or of each person (--people)."""
    jobs, wanted = read_jobs(ctx.params), read_many(ctx)
    tell_left_out(jobs)
    if any(os.path.isdir(path) for path in inputs):
        wanted = wanted.begun(len(jobs.jobs), device)
    call, model = read_call(ctx.params, jobs), read_model(ctx.params)
    telling = Telling(as_json)
    for row, restoration in album_or_photos(call, model, read_outputs(ctx), wanted, inputs, telling.found):
        telling.done(row, restoration)
    telling.end(jobs)
    raise typer.Exit(FAILED if telling.has_failures else 0)
