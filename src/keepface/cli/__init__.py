"""Words to calls: the command line; networks are imported only by the commands that need them."""

import os
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from keepface import __version__
from keepface.cli.bench import bench
from keepface.cli.cache import cache
from keepface.cli.data import data
from keepface.cli.degrade import degrade
from keepface.cli.many import WithMany
from keepface.cli.person import person
from keepface.cli.person_train import train as train_person
from keepface.cli.redo import redo
from keepface.cli.restore import restore
from keepface.cli.serve import serve
from keepface.cli.show import report, say
from keepface.cli.study import study
from keepface.cli.train import train
from keepface.cli.weights import weights
from keepface.errors import KeepfaceError


class Commands(TyperGroup):
    """The commands, with every error that keepface raises on purpose told in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error of keepface ends it with status 1, or 2 when a setting is to blame."""
        try:
            return super().invoke(ctx)
        except KeepfaceError as error:
            raise typer.Exit(report(error)) from None


app = typer.Typer(
    cls=Commands,
    name="keepface",
    help="Restore photos of people so that each person still looks like that person.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> bool:
    if wanted:
        say(f"keepface {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Restore photos of people so that each person still looks like that person."""


app.command(cls=WithMany)(restore)
app.command()(redo)
app.command()(degrade)
app.command()(train)
app.command()(bench)
app.command()(serve)
person.command("train")(train_person)
app.add_typer(person, name="person")
app.add_typer(study, name="study")
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")
app.add_typer(cache, name="cache")


def main() -> None:
    """Run the command line; what libraries warn their programmers of is not said to its user."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of processes that are started
    try:
        app(prog_name="keepface")
    except KeepfaceError as error:  # before a command was begun
        sys.exit(report(error))
    finally:
        _let_go()


def _let_go() -> None:
    """Give up what can't be written to stdout, of which an error was told; Python would try once more and say so."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
