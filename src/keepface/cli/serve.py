"""keepface serve: the page for the family, and the HTTP API, on this machine."""

import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from keepface.cli.cache import features_folder
from keepface.cli.person import Folder, open_people
from keepface.cli.show import say, tell
from keepface.errors import MissingExtraError
from keepface.listening import is_loopback

if TYPE_CHECKING:
    from keepface.web.settings import ServeSettings

TOKEN = "KEEPFACE_TOKEN"  # environment variable; options can be read by others on the machine


def serve(
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.", min=0, max=65535)] = 7878,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is every network of yours.")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name it may be called by, such as attic.local.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar=TOKEN, help="Whoever calls must know it; set the variable instead.")
    ] = None,
    family: Annotated[str, typer.Option(help="Networks: a bundled name, a folder or a hub id.")] = "compact",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, bf16 or fp16.")] = None,
    library: Folder = None,
    keep: Annotated[float, typer.Option(help="Minutes that results are kept.")] = 60.0,
    upload_mib: Annotated[int, typer.Option(help="Most MiB of one file.", min=1)] = 64,
    album_mib: Annotated[int, typer.Option(help="Most MiB of one call.", min=1)] = 2048,
    photos: Annotated[int, typer.Option(help="Most photos of one call.", min=1)] = 200,
    queue: Annotated[int, typer.Option(help="Most jobs that wait or run.", min=1)] = 16,
    rate: Annotated[int, typer.Option(help="Most calls a minute from one address.", min=1)] = 600,
    max_pixels: Annotated[int, typer.Option(help="Larger photos are refused.", min=1)] = 64_000_000,
    page: Annotated[bool, typer.Option("--page/--no-page", help="The page, or the HTTP API alone.")] = True,
) -> None:
    """Serve the page and the HTTP API to browsers and programs of this machine, until Ctrl+C."""
    from keepface.web.settings import ServeSettings

    made = None if token or is_loopback(host) else secrets.token_urlsafe(24)
    settings = ServeSettings(
        host=host,
        port=port,
        token=token or made,
        hosts=tuple(allow_host or ()),
        family=family,
        device=device,
        precision=precision,
        library=library,
        cache=features_folder(),
        upload_mib=upload_mib,
        album_mib=album_mib,
        photos=photos,
        queue=queue,
        rate_per_minute=rate,
        keep_minutes=keep,
        max_pixels=max_pixels,
    )
    people = open_people(library)
    try:
        from keepface.web.app import serve as serve_app
        from keepface.web.workshop import Workshop
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"serving needs {error.name}: pip install 'keepface[web]'") from None
    workshop = Workshop(people, settings)
    try:
        workshop.methods()  # a family that there is not is told before anybody calls
        serve_app(workshop, settings, lambda address: _tell(address, settings, made), page)
    finally:
        workshop.close()


def _tell(address: str, settings: "ServeSettings", made: str | None) -> None:
    """Say where it is, and who can open it; a token that was made is told here and nowhere else."""
    say(address if made is None else f"{address}?token={made}")
    if settings.is_local:
        tell("Only this machine can open it.")
    else:
        tell("Whoever can reach this address and knows the token has your people and photos, and what is sent is not")
        tell("encrypted: use a network you trust, or put a web server with TLS before it.")
    tell(f"Photos and results lie in a private folder for {settings.keep_minutes:g} minutes at most. Stop with Ctrl+C.")
