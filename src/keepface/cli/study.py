"""keepface study: ask people which result is better, without telling them whose it is."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepface.cli.show import progress, say, say_json, say_table, tell
from keepface.errors import MissingExtraError
from keepface.listening import is_loopback

if TYPE_CHECKING:
    from keepface.bench.study.tally import QuestionTally, Range, Tally

SHOWN = 10  # photos left out, by name

study = typer.Typer(help="Ask people which results are better, blinded.", no_args_is_help=True, rich_markup_mode=None)
Folder = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the study.", show_default=False)]


@study.command()
def build(
    out: Folder,
    method: Annotated[
        list[str], typer.Option(metavar="NAME=FOLDER", help="Results to compare; twice or more.", show_default=False)
    ],
    reference: Annotated[
        Path | None, typer.Option(help="Folder of the people's other photos: PHOTO.jpg, or PHOTO/ with several.")
    ] = None,
    input: Annotated[Path | None, typer.Option(help="Folder of the photos before restoration, to be shown.")] = None,  # noqa: A002
    truth: Annotated[Path | None, typer.Option(help="Folder of clean photos, for the controls.")] = None,
    questions: Annotated[str | None, typer.Option(help="quality, identity or both; default: all that can be.")] = None,
    compare: Annotated[str, typer.Option(help="all at once, pairs, or auto: all up to four methods.")] = "auto",
    controls: Annotated[int, typer.Option(help="Tasks with a known answer, a question.", min=0)] = 6,
    tie: Annotated[bool, typer.Option("--tie", help="Let voters answer that there is no difference.")] = False,
    photos: Annotated[int | None, typer.Option(help="Ask each voter about so many photos only.", min=1)] = None,
    side: Annotated[int, typer.Option(help="Longest side of every picture in pixels.")] = 512,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same study; default: drawn.", min=0)] = None,
    title: Annotated[str, typer.Option(help="What voters read at the top.")] = "Which picture is better?",
) -> None:
    """Make a study of folders of results, matched by file name."""
    from keepface.bench.study.build import build as build_study
    from keepface.bench.study.settings import StudySettings

    settings = StudySettings(
        methods=_methods(method),
        references=reference,
        inputs=input,
        truths=truth,
        questions=() if questions is None else tuple(name.strip() for name in questions.split(",")),
        compare=compare,
        controls=controls,
        tie=tie,
        photos_a_voter=photos,
        side=side,
        seed=seed,
        title=title,
    )
    with progress(out.name) as advance:
        built = build_study(out, settings, advance)
    asked = len(built.study.tasks_of(""))
    say(f"{out}: {built.photos} photos, {len(settings.methods)} methods, {', '.join(built.study.questions)}")
    say(f"each voter answers {asked} tasks; go on with: keepface study serve {out}")
    for name, reason in list(built.left_out.items())[:SHOWN]:
        tell(f"left out {name}: {reason}")
    if len(built.left_out) > SHOWN:
        tell(f"and {len(built.left_out) - SHOWN} more")


@study.command()
def serve(
    out: Folder,
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.", min=0, max=65535)] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is every network of yours.")] = "127.0.0.1",
) -> None:
    """Serve the page of a study to voters' browsers."""
    try:
        from keepface.bench.study import server
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"serving a study needs {error.name}: pip install 'keepface[study]'") from None

    def ready(address: str) -> None:
        say(address)
        if is_loopback(host):
            tell("Only this machine can open it. To let others vote, put a web server with TLS before it, or a tunnel.")
        else:
            tell(
                "Anybody who can reach this address can vote and see the photos, unencrypted: use a network you trust."
            )
        tell("Share the address alone: study.json is the key to what voters see. Stop with Ctrl+C; votes are kept.")

    server.serve(out, host, port, ready)


@study.command()
def report(
    out: Folder,
    pass_share: Annotated[
        float, typer.Option("--pass", help="Share of controls a voter must have right.", min=0, max=1)
    ] = 0.8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count the votes: each method's share with 95 % intervals, and every two methods against each other."""
    from keepface.bench.study.plan import read_study
    from keepface.bench.study.tally import tally
    from keepface.bench.study.votes import BallotBox

    key = read_study(out)
    found = tally(key, BallotBox(out).votes(), pass_share)
    if as_json:
        say_json({"title": key.title, "methods": key.methods, **asdict(found)})
        return
    _say_voters(found)
    for question in found.questions:
        if question.answers:
            _say_question(question)


@study.command()
def forget(
    out: Folder,
    voter: Annotated[str, typer.Option(help="The voter's code, from the foot of the page.", show_default=False)],
) -> None:
    """Remove a voter and all their votes."""
    from keepface.bench.study.plan import read_study
    from keepface.bench.study.votes import BallotBox

    read_study(out)
    count = BallotBox(out).forget(voter)
    say(f"{out}: the voter and {count} votes are removed")


def _methods(words: list[str]) -> dict[str, Path]:
    methods: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not (name.strip() and equals and folder):
            raise typer.BadParameter(f"{word!r} is not NAME=FOLDER", param_hint="--method")
        if name.strip() in methods:
            raise typer.BadParameter(f"two methods are called {name.strip()}", param_hint="--method")
        methods[name.strip()] = Path(folder)
    return methods


def _say_voters(found: "Tally") -> None:
    if not found.voters:
        say("no votes yet")
        return
    say(f"{found.voters} voters; {found.counted} counted, of whom {found.finished} answered everything")
    if found.guesser_passes is None:
        say("no controls: nobody is left out")
    else:
        say(
            f"left out: {found.failed_controls} with less than {found.pass_share:.0%} of their controls right, "
            f"{found.met_no_control} who met none; a guesser passes with probability {found.guesser_passes:.2g}"
        )


def _say_question(tally: "QuestionTally") -> None:
    say(f"\n{tally.question}: {tally.answers} answers" + (f", {tally.ties} of them ties" if tally.ties else ""))
    rows = [
        (
            share.method,
            f"{share.votes:g}" if float(share.votes).is_integer() else f"{share.votes:.2f}",
            str(share.answers),
            _percent(share.share),
            _range(share.wilson),
            _range(share.over_voters),
        )
        for share in tally.shares
    ]
    say_table(("method", "votes", "of", "share", "95 % (answers)", "95 % (voters)"), rows)
    pairs = []
    for duel in tally.duels:
        difference = duel.difference
        told = (
            "one voter"
            if difference is None
            else f"{difference.mean:+.1%} [{difference.low:+.1%}, {difference.high:+.1%}]"
        )
        told += " *" if difference is not None and difference.excludes_zero else ""
        votes = (str(duel.first_votes), str(duel.second_votes), str(duel.neither))
        pairs.append((f"{duel.first} : {duel.second}", *votes, _percent(duel.share), _range(duel.wilson), told))
    say("")
    say_table(("pair", "first", "second", "neither", "first's share", "95 % (answers)", "difference (voters)"), pairs)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _range(interval: "Range | None") -> str:
    return "one voter" if interval is None else f"{interval.low:.1%} to {interval.high:.1%}"
