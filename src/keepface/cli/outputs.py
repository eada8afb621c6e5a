"""What `keepface restore` can write besides the picture, as options that its command takes on top of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from keepface.errors import MissingExtraError

KEPT = "keepface.outputs"  # where the context of a call holds what was asked for


@dataclass(frozen=True)
class Outputs:
    """What is drawn, written and left out besides."""

    candidates: int = 1
    candidates_dir: Path | None = None
    evidence: Path | None = None  # a file; of several photos a folder
    report: Path | None = None  # likewise
    sidecar: bool = False
    strip_gps: bool = False
    provenance: bool = True
    c2pa_cert: Path | None = None
    c2pa_key: Path | None = None
    c2pa_alg: str = "es256"

    @property
    def wants_evidence(self) -> bool:
        """Tell whether faces are drawn with and without references to tell what came from where."""
        return self.evidence is not None or self.report is not None


def outputs(
    candidates: Annotated[int, typer.Option(help="Draw each face so often, keep the best.", min=1, max=64)] = 1,
    candidates_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the other candidates here.")] = None,
    evidence: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Picture of what came from where; DIR for several photos.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Page that discloses all; DIR for several photos.")
    ] = None,
    sidecar: Annotated[bool, typer.Option("--sidecar", help="Recipe beside each result, for keepface redo.")] = False,
    strip_gps: Annotated[bool, typer.Option("--strip-gps", help="Leave out where the photo was taken.")] = False,
    provenance: Annotated[bool, typer.Option(help="Say in the file's XMP that a model painted in it.")] = True,
    c2pa_cert: Annotated[Path | None, typer.Option(metavar="PEM", help="Sign with your certificate chain.")] = None,
    c2pa_key: Annotated[Path | None, typer.Option(metavar="PEM", help="The certificate's private key.")] = None,
    c2pa_alg: Annotated[str, typer.Option(help="es256, es384, es512, ps256, ps384, ps512 or ed25519.")] = "es256",
) -> None:
    """Stand for the options; the command takes them from here, and this is never called."""


def read_outputs(ctx: typer.Context) -> Outputs:
    """Return what a call asks for.

    Raises:
        typer.BadParameter: half of what signing needs, or a file of it that is missing.
        MissingExtraError: a result is to be signed, and c2pa-python is not installed.
    """
    values: Mapping[str, Any] = ctx.meta.get(KEPT, {})
    paths = ("candidates_dir", "evidence", "report", "c2pa_cert", "c2pa_key")
    given: dict[str, Any] = {name: Path(item) if name in paths and item else item for name, item in values.items()}
    found = Outputs(**given)
    if (found.c2pa_cert is None) != (found.c2pa_key is None):
        raise typer.BadParameter("signing needs both --c2pa-cert and --c2pa-key", param_hint="--c2pa-cert")
    for path in (found.c2pa_cert, found.c2pa_key):
        if path is not None and not path.is_file():
            raise typer.BadParameter(f"{path}: there is no such file", param_hint="--c2pa-cert, --c2pa-key")
    if found.c2pa_cert is not None and find_spec("c2pa") is None:
        raise MissingExtraError("signing is done by c2pa-python: pip install 'keepface[c2pa]'")
    return found
