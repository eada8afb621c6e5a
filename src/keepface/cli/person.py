"""keepface person: the local library of people, with their reference photos, features and adapters."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepface.cli.cache import features_folder
from keepface.cli.paths import photos_of
from keepface.cli.show import FAILED, progress, say, say_json, say_table, tell
from keepface.errors import KeepfaceError

if TYPE_CHECKING:
    from keepface.engine.references import Recognising, References
    from keepface.people.intake import Intake
    from keepface.people.person import Person
    from keepface.people.store import Library

person = typer.Typer(
    help="Keep people, with their reference photos, in a library on this computer.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
PASSPHRASE = "KEEPFACE_PASSPHRASE"  # environment variable read in place of asking
Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name.", show_default=False)]
Folder = Annotated[
    Path | None,
    typer.Option("--library", metavar="FOLDER", envvar="KEEPFACE_LIBRARY", help="Folder of the library."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@person.command()
def add(
    name: Name,
    photos: Annotated[
        list[Path] | None, typer.Argument(metavar="[PHOTO]...", help="Photos of the person, or folders of photos.")
    ] = None,
    year: Annotated[
        int | None, typer.Option(help="Year in which these photos were taken; default: their EXIF.")
    ] = None,
    birth_year: Annotated[int | None, typer.Option(help="Note the year of birth.")] = None,
    relation: Annotated[str | None, typer.Option(help="Note who it is to you.")] = None,
    consent: Annotated[str | None, typer.Option(help="Note how the person agreed.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Keep the photos' paths instead of copies.")] = False,
    sure: Annotated[
        bool, typer.Option("--sure", help="These photos show this person, even if they look unlike.")
    ] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Put a new library under a passphrase.")] = False,
    library: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Add photos or notes to a person, who is made if there is none of this name."""
    paths = _photos(photos or [])
    from keepface.people.features import Known, Networks
    from keepface.people.intake import Intake, IntakeSettings, look_at
    from keepface.people.person import Notes, checked_name, checked_notes, checked_year, new_name

    name = checked_name(name)
    notes = checked_notes(Notes(consent, None, relation, birth_year))
    settings = IntakeSettings(checked_year(year, "--year") if year is not None else None, link, sure)
    people = open_people(library)
    if lock and not people.is_new and not people.is_locked:
        raise KeepfaceError(f"{people.folder}: is a library without a lock; --lock makes a new one: see docs/people.md")
    if not people.has(name):
        new_name(name)
    if not paths and not people.has(name):
        raise KeepfaceError(f"there is no {name} in the library yet: keepface person add {name} PHOTO...")
    passphrase = _new_passphrase() if lock and people.is_new else None
    intake, known = Intake((), (), ()), Known((), ())
    if paths:
        networks = Networks.load()
        known = people.known(people.find(name), networks) if people.has(name) else known
        with progress("photos") as advance:
            intake = look_at(paths, known, networks, settings, advance)
    if intake.accepted or people.has(name):
        people = people.make(passphrase)
        people.add(name, intake.accepted, notes)
    _tell_added(people, name, intake, as_json)
    if intake.refused:
        raise typer.Exit(FAILED)


@person.command("list")
def list_people(library: Folder = None, as_json: AsJson = False) -> None:
    """List the people of the library."""
    people = open_people(library)
    shown = [_summary(people, item) for item in people.people()]
    if as_json:
        say_json({"library": str(people.folder), "locked": people.is_locked, "people": shown})
    elif not shown:
        say(f"{people.folder}: holds nobody yet; keepface person add NAME PHOTO...")
    else:
        rows = [
            (
                row["name"],
                str(len(row["photos"])),
                _years(row),
                row["notes"]["relation"] or "",
                ", ".join(row["adapters"]),
            )
            for row in shown
        ]
        say_table(("name", "photos", "years", "relation", "adapters"), rows)


@person.command()
def show(name: Name, library: Folder = None, as_json: AsJson = False) -> None:
    """Show what is kept of one person."""
    people = open_people(library)
    found = people.find(name)
    summary = _summary(people, found)
    if as_json:
        say_json(summary)
        return
    notes = summary["notes"]
    say(f"{found.name}, in the library since {found.created}")
    for key, value in notes.items():
        if value is not None:
            say(f"  {key.replace('_', ' ')}: {value}")
    say(f"  adapters: {', '.join(summary['adapters']) or 'none'}")
    rows = [(row["name"], str(row["year"] or ""), row["added"], row["link"] or "copy") for row in summary["photos"]]
    say_table(("photo", "year", "added", "kept as"), rows)


@person.command()
def check(name: Name, library: Folder = None, as_json: AsJson = False) -> None:
    """Examine a person's photos, and say which one to add next."""
    people = open_people(library)
    found = people.find(name)
    from keepface.people.checkup import check_person
    from keepface.people.features import Networks

    with progress("photos") as advance:
        diagnosis = check_person(people, found, Networks.load(), advance).diagnosis
    if as_json:
        say_json({"name": found.name, "well": diagnosis.is_well, **diagnosis.to_json()})
        return
    rows = [
        (
            item.name,
            str(item.year or ""),
            _measured(item.size_px, "{:.0f} px"),
            _measured(item.blur, "{:.2f}"),
            _measured(item.yaw_deg, "{:+.0f}°"),
            _measured(item.likeness, "{:.2f}"),
            "; ".join(item.problems) or "fit",
        )
        for item in diagnosis.photos
    ]
    say_table(("photo", "year", "face", "blur", "turned", "likeness", "verdict"), rows)
    for line in diagnosis.add_next or ("nothing is missing",):
        say(f"next: {line}")
    for line in diagnosis.not_checked:
        say(f"not checked: {line}")


@person.command()
def forget(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    library: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Delete all that the library and the cache hold of a person."""
    people = open_people(library)
    found = people.find(name)
    if not yes:
        typer.confirm(f"Delete {found.name} with {len(found.photos)} photos for ever?", abort=True, err=True)
    from keepface.identity.embed import FeatureCache
    from keepface.people.traces import cached_features

    cached = cached_features(people, found, FeatureCache(features_folder()))
    for path in cached:
        path.unlink(missing_ok=True)
    gone = people.forget(found)
    if as_json:
        say_json({**asdict(gone), "cached": len(cached)})
        return
    say(
        f"forgot {gone.name}: {gone.photos} photos, {gone.adapters} adapters, {len(cached)} entries of the cache; "
        "pictures and exports that you saved elsewhere are still there"
    )
    for link in gone.links:
        say(f"  {link}: was linked, left where it is")


@person.command()
def export(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="Zip file to write.", show_default=False)],
    plain: Annotated[bool, typer.Option("--plain", help="Of a locked library: write a file without a lock.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    library: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Write a person with photos, notes and adapters to one zip file; of a locked library under its passphrase."""
    from keepface.people.archive import export_person

    given: list[str] = []
    people = open_people(library, given)
    found = people.find(name)
    passphrase = given[-1] if people.is_locked and not plain else None
    export_person(people, found, output, passphrase, force)
    if as_json:
        say_json({"name": found.name, "output": str(output), "locked": passphrase is not None})
    else:
        say(f"{found.name} -> {output}{'' if passphrase else '  (not locked: whoever has the file has the photos)'}")


@person.command("import")
def import_(
    archive: Annotated[Path, typer.Argument(metavar="ZIP", help="File that export wrote.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Name in this library; default: the person's own.")] = None,
    lock: Annotated[bool, typer.Option("--lock", help="Put a new library under a passphrase.")] = False,
    library: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Take the person of a zip file into the library."""
    from keepface.people.archive import import_person

    people = open_people(library)
    if not archive.is_file():
        raise KeepfaceError(f"{archive}: there is no such file")
    people = people.make(_new_passphrase() if lock and people.is_new else None)
    found = import_person(people, archive, lambda: _passphrase(f"Passphrase of {archive.name}"), name)
    if as_json:
        say_json(_summary(people, found))
    else:
        say(f"{found.name}: {len(found.photos)} photos and {len(people.adapters(found))} adapters imported")


def open_people(folder: Path | None, given: list[str] | None = None) -> "Library":
    """Open the library of a folder, or the user's own; a passphrase that had to be asked for is put into `given`."""
    from keepface.people.store import default_folder, open_library

    folder = default_folder() if folder is None else folder.expanduser()

    def ask() -> str:
        passphrase = _passphrase(f"Passphrase of {folder}")
        if given is not None:
            given.append(passphrase)
        return passphrase

    return open_library(folder, ask)


def references_of(
    restorer: "Recognising", people: "Library", name: str, given: "References", strict: bool
) -> "References":
    """Return a person's references as `keepface.engine.library.one_person` does; called as the user called them."""
    from keepface.engine.library import one_person

    return replace(one_person(restorer, people, people.find(name), given, strict), person=name)


def _passphrase(text: str) -> str:
    if passphrase := os.environ.get(PASSPHRASE):
        return passphrase
    if not sys.stdin.isatty():
        raise KeepfaceError(f"{text} is needed: set {PASSPHRASE}, or run keepface in a terminal, where it asks")
    return str(typer.prompt(text, hide_input=True, err=True))


def _new_passphrase() -> str:
    if os.environ.get(PASSPHRASE) or not sys.stdin.isatty():
        return _passphrase("A passphrase for the new library")
    return str(typer.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True))


def _photos(given: Sequence[Path]) -> list[Path]:
    """Take photos, and those of folders."""
    paths: list[Path] = []
    for path in given:
        paths += photos_of([path], "PHOTO...") if os.path.isdir(path) else [path]
    return paths


def _summary(people: "Library", found: "Person") -> dict[str, Any]:
    """Return a person as plain data, without features."""
    photos = [
        {key: value for key, value in asdict(photo).items() if key != "key"} | {"has_features": has}
        for photo, has in ((photo, people.features(found, photo) is not None) for photo in found.photos)
    ]
    return {
        "name": found.name,
        "created": found.created,
        "notes": asdict(found.notes),
        "photos": photos,
        "adapters": list(people.adapters(found)),
    }


def _tell_added(people: "Library", name: str, intake: "Intake", as_json: bool) -> None:
    for item in intake.refused:
        tell(f"{item.source} left out: {item.reason}")
    shown = _summary(people, people.find(name)) if people.has(name) else None
    if as_json:
        added = [photo.record.name for photo in intake.accepted]
        duplicates, refused = ([asdict(item) for item in items] for items in (intake.duplicates, intake.refused))
        say_json({"person": shown, "added": added, "duplicates": duplicates, "left_out": refused})
        return
    for item in intake.duplicates:
        say(f"{item.source} not added again: {item.reason}")
    if shown is None:
        say(f"{name} was not added: no photo can be used")
    else:
        say(f"{shown['name']}: {len(intake.accepted)} photos added, {len(shown['photos'])} in all")


def _years(row: dict[str, Any]) -> str:
    years = [photo["year"] for photo in row["photos"] if photo["year"] is not None]
    if not years:
        return ""
    return str(years[0]) if min(years) == max(years) else f"{min(years)}-{max(years)}"


def _measured(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
