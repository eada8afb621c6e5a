"""Votes to shares: who is counted, how often each method was chosen, and how sure that is.

Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference"  [WILSON]
Efron & Tibshirani 1993, "An Introduction to the Bootstrap"  [BOOT]
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from keepface.bench.study.plan import TIE, Study, Task
from keepface.bench.study.votes import Vote
from keepface.errors import DataError
from keepface.metrics.statistics import Interval, paired_bootstrap
from keepface.seeds import numpy_generator

Z_95 = 1.959963984540054  # of the normal distribution, two-sided 95 %
PASS = 0.8  # share of the answered controls that a voter must have right  # ours
RESAMPLES = 2000

Votes = Mapping[str, str]  # task -> choice, of one voter


@dataclass(frozen=True)
class Range:
    """A 95 % interval of a share, from 0 to 1."""

    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """How often a method was chosen, among the answers to tasks that showed it; a tie gives an equal part to each."""

    method: str
    votes: float
    answers: int
    share: float
    wilson: Range  # as if every answer stood for itself
    over_voters: Range | None  # voters drawn anew; None for a single voter


@dataclass(frozen=True)
class Duel:
    """Two methods where both were shown: answers for each, and for neither (another method, or a tie)."""

    first: str
    second: str
    first_votes: int
    second_votes: int
    neither: int
    share: float  # of the first among the answers for one of the two, a tie of them counting half for each
    wilson: Range
    difference: Interval | None  # the voters' mean share of the first minus the second; None for a single voter


@dataclass(frozen=True)
class QuestionTally:
    """What the counted voters answered to one question."""

    question: str
    answers: int
    ties: int
    shares: tuple[Share, ...]
    duels: tuple[Duel, ...]


@dataclass(frozen=True)
class Tally:
    """What a study found."""

    voters: int  # with at least one answer
    counted: int
    finished: int  # of those counted, who answered everything they were asked
    failed_controls: int  # left out: too few controls right
    met_no_control: int  # left out: stopped before the first one
    pass_share: float
    guesser_passes: float | None  # probability that answers at random pass the controls; None without controls
    questions: tuple[QuestionTally, ...]


def tally(study: Study, votes: Iterable[Vote], pass_share: float = PASS) -> Tally:
    """Count the votes of those who have `pass_share` (0 to 1) or more of their answered controls right.

    Raises:
        DataError: `pass_share` is out of range, or a vote is for no task or picture of the study.
    """
    if not 0 <= pass_share <= 1:
        raise DataError(f"study: the share of controls to pass is {pass_share}; it must be from 0 to 1")
    tasks = {task.id: task for task in study.tasks}
    by_voter: dict[str, dict[str, str]] = defaultdict(dict)
    for vote in votes:
        _check(vote, tasks)
        by_voter[vote.voter][vote.task] = vote.choice
    rights = {voter: _rights(own, tasks) for voter, own in by_voter.items()}
    unchecked = {voter for voter, own in rights.items() if study.controls and not own}
    failed = {voter for voter, own in rights.items() if own and np.mean(own) < pass_share - 1e-9}
    counted = {voter: own for voter, own in sorted(by_voter.items()) if voter not in unchecked | failed}
    finished = sum(all(task.id in own for task in study.tasks_of(voter)) for voter, own in counted.items())
    return Tally(
        voters=len(by_voter),
        counted=len(counted),
        finished=finished,
        failed_controls=len(failed),
        met_no_control=len(unchecked),
        pass_share=pass_share,
        guesser_passes=guesser_passes(study, pass_share),
        questions=tuple(_question(study, name, list(counted.values()), tasks) for name in study.questions),
    )


def wilson(votes: float, answers: int) -> Range:
    """Return the 95 % score interval of a share `votes / answers`; `answers` is 1 or more. [WILSON]"""
    share, z2 = votes / answers, Z_95**2
    centre = (share + z2 / (2 * answers)) / (1 + z2 / answers)
    half = Z_95 / (1 + z2 / answers) * math.sqrt(share * (1 - share) / answers + z2 / (4 * answers**2))
    return Range(max(0.0, centre - half), min(1.0, centre + half))


def share_over_voters(votes: Sequence[float], answers: Sequence[int], seed: int, n: int = RESAMPLES) -> Range | None:
    """Return the 95 % percentile interval of the pooled share with voters drawn anew, whole. [BOOT, Sec. 13.3]

    `votes[i]` of voter i's `answers[i]` are for the method. One voter alone says nothing of others: `None`.
    """
    if len(votes) < 2:
        return None
    drawn = numpy_generator(seed, "voters").integers(0, len(votes), (n, len(votes)))
    shares = np.asarray(votes)[drawn].sum(axis=1) / np.asarray(answers)[drawn].sum(axis=1)
    low, high = np.percentile(shares, (2.5, 97.5))
    return Range(float(low), float(high))


def guesser_passes(study: Study, pass_share: float) -> float | None:
    """Return the probability that choices at random pass all controls of a study; a tie is never right."""
    chances = [1 / (len(task.choices) + study.tie) for task in study.controls]
    if not chances:
        return None
    counts = np.array([1.0])  # counts[k]: probability of k right
    for chance in chances:
        counts = np.append(counts, 0.0) * (1 - chance) + np.append(0.0, counts) * chance
    return float(sum(chance for right, chance in enumerate(counts) if right / len(chances) >= pass_share - 1e-9))


def _check(vote: Vote, tasks: Mapping[str, Task]) -> None:
    task = tasks.get(vote.task)
    if task is None or (vote.choice != TIE and vote.choice not in {choice.picture for choice in task.choices}):
        raise DataError(
            f"study: a vote for {vote.choice} in task {vote.task} is of another study; votes.db is not its own"
        )


def _rights(own: Votes, tasks: Mapping[str, Task]) -> list[bool]:
    return [choice == tasks[task].right for task, choice in own.items() if tasks[task].right]


def _question(study: Study, question: str, voters: Sequence[Votes], tasks: Mapping[str, Task]) -> QuestionTally:
    """Count one question; controls are no votes for anybody."""
    asked = [
        {task: choice for task, choice in own.items() if tasks[task].question == question and not tasks[task].right}
        for own in voters
    ]
    parts = [[_parts(tasks[task], choice) for task, choice in own.items()] for own in asked]
    shares = [_share(method, parts, study.seed) for method in study.methods]
    duels = [_duel(pair, parts, study.seed) for pair in combinations(study.methods, 2)]
    return QuestionTally(
        question,
        answers=sum(len(own) for own in asked),
        ties=sum(choice == TIE for own in asked for choice in own.values()),
        shares=tuple(sorted((share for share in shares if share), key=lambda share: -share.share)),
        duels=tuple(duel for duel in duels if duel),
    )


def _parts(task: Task, choice: str) -> dict[str, float]:
    """Return what each method that was shown gets of one answer."""
    if choice == TIE:
        return {shown.method: 1 / len(task.choices) for shown in task.choices}
    return {shown.method: float(shown.picture == choice) for shown in task.choices}


def _share(method: str, voters: Sequence[Sequence[Mapping[str, float]]], seed: int) -> Share | None:
    mine = [[answer[method] for answer in own if method in answer] for own in voters]
    mine = [own for own in mine if own]
    if not mine:
        return None
    votes, answers = [sum(own) for own in mine], [len(own) for own in mine]
    pooled, count = sum(votes), sum(answers)
    over = share_over_voters(votes, answers, seed)
    return Share(method, pooled, count, pooled / count, wilson(pooled, count), over)


def _duel(pair: tuple[str, str], voters: Sequence[Sequence[Mapping[str, float]]], seed: int) -> Duel | None:
    a, b = pair
    both = [[(answer[a], answer[b]) for answer in own if a in answer and b in answer] for own in voters]
    both = [own for own in both if own]
    if not both:
        return None
    answers = [answer for own in both for answer in own]
    first, second = answers.count((1.0, 0.0)), answers.count((0.0, 1.0))
    tied = sum(0 < one < 1 for one, _ in answers)
    decided = first + second + tied
    share, interval = 0.5, Range(0.0, 1.0)
    if decided:
        share, interval = (first + tied / 2) / decided, wilson(first + tied / 2, decided)
    means = np.array([np.mean(own, axis=0) for own in both])  # voters x 2
    difference = paired_bootstrap(means[:, 0].tolist(), means[:, 1].tolist(), seed) if len(both) > 1 else None
    return Duel(a, b, first, second, len(answers) - first - second, share, interval, difference)
