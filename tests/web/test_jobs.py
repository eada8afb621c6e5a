"""The queue: in order, one at a time, stopped where asked, and nothing kept for longer than said."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keepface.errors import KeepfaceError
from keepface.web.jobs import Job, Jobs, Stopped
from keepface.web.refusals import NotThereError, QueueFullError
from keepface.web.settings import ServeSettings


@dataclass(eq=False)
class Thing:
    """Something that a job made."""

    nbytes: int = 0
    people: tuple[str, ...] = ()
    is_gone: bool = False

    def discard(self) -> None:
        self.is_gone = True


@pytest.fixture
def queues() -> Iterator[Callable[[ServeSettings], Jobs]]:
    made: list[Jobs] = []

    def make(settings: ServeSettings) -> Jobs:
        made.append(Jobs(settings))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


@pytest.fixture
def jobs(queues: Callable[[ServeSettings], Jobs]) -> Jobs:
    return queues(ServeSettings(queue=50))


def test_jobs_are_done_in_order_one_at_a_time(jobs: Jobs) -> None:
    log: list[tuple[str, int]] = []

    def work(number: int) -> int:
        log.append(("begins", number))
        time.sleep(0.01)
        log.append(("ends", number))
        return number

    made = [jobs.submit("restoration", lambda progress, number=number: work(number)) for number in range(5)]
    for job in made:
        jobs.wait(job.key)
    assert log == [(what, number) for number in range(5) for what in ("begins", "ends")]
    assert [job.made for job in made] == [0, 1, 2, 3, 4] and {job.state for job in jobs.all()} == {"done"}


def test_a_job_that_fails_says_why_and_the_next_goes_on(jobs: Jobs) -> None:
    def broken(progress: object) -> None:
        raise KeepfaceError("no face at all")

    def odd(progress: object) -> None:
        raise RuntimeError("anna")

    keys = [jobs.submit("album", work).key for work in (broken, odd, lambda progress: 7)]
    told = [jobs.wait(key) for key in keys]
    assert [job.state for job in told] == ["failed", "failed", "done"]
    assert told[0].error == "no face at all" and "anna" not in (told[1].error or "") and told[2].made == 7


def running(jobs: Jobs) -> tuple[Job, threading.Event]:
    """Begin a job that goes on until it is stopped."""
    has_begun = threading.Event()

    def work(progress: object) -> None:
        assert callable(progress)
        step = 0
        while True:
            step += 1
            progress(step, 1000)
            has_begun.set()
            time.sleep(0.001)

    job = jobs.submit("training", work)
    return job, has_begun


def test_a_job_that_runs_stops_at_its_next_step_and_one_that_waits_at_once(jobs: Jobs) -> None:
    first, has_begun = running(jobs)
    second = jobs.submit("album", lambda progress: 1)
    assert has_begun.wait(5)
    jobs.stop(second.key)
    assert (second.state, first.state) == ("stopped", "running") and first.total == 1000
    jobs.stop(first.key)
    assert jobs.wait(first.key, 5.0).state == "stopped" and first.error is None


def test_what_a_stopped_job_had_made_is_kept(jobs: Jobs) -> None:
    def work(progress: object) -> None:
        raise Stopped("half")

    job = jobs.wait(jobs.submit("album", work).key)
    assert (job.state, job.made) == ("stopped", "half")


def test_removing_deletes_what_was_made_also_of_a_job_that_runs(jobs: Jobs) -> None:
    thing = Thing()
    key = jobs.submit("album", lambda progress: thing).key
    jobs.wait(key)
    jobs.remove(key)
    assert thing.is_gone
    with pytest.raises(NotThereError):
        jobs.find(key)
    late, held, begun = Thing(), threading.Event(), threading.Event()

    def work(progress: object) -> Thing:
        begun.set()
        held.wait(5)
        return late

    job = jobs.submit("album", work)
    assert begun.wait(5)
    jobs.remove(job.key)
    held.set()
    jobs.wait(jobs.submit("album", lambda progress: 0).key)
    assert late.is_gone and job.made is None


def test_a_full_queue_refuses_and_finished_jobs_do_not_count(queues: Callable[[ServeSettings], Jobs]) -> None:
    jobs = queues(ServeSettings(queue=2))
    for _ in range(5):
        jobs.wait(jobs.submit("album", lambda progress: 0).key)
    first, has_begun = running(jobs)
    assert has_begun.wait(5)
    jobs.submit("album", lambda progress: 0)
    with pytest.raises(QueueFullError, match="2 jobs wait or run"):
        jobs.submit("album", lambda progress: 0)
    jobs.stop(first.key)


def test_results_go_when_they_are_too_old(queues: Callable[[ServeSettings], Jobs]) -> None:
    jobs = queues(ServeSettings(keep_minutes=0.2 / 60))
    thing = Thing()
    key = jobs.wait(jobs.submit("album", lambda progress: thing).key).key
    time.sleep(0.3)
    assert jobs.all() == () and thing.is_gone
    with pytest.raises(NotThereError, match="older than results are kept"):
        jobs.find(key)


def test_the_oldest_results_go_when_they_take_too_much_memory_but_never_the_newest(
    queues: Callable[[ServeSettings], Jobs],
) -> None:
    jobs = queues(ServeSettings(kept_mib=3))
    made = [jobs.wait(jobs.submit("album", lambda progress: Thing(2 << 20)).key) for _ in range(3)]
    assert [job.key for job in jobs.all()] == [made[-1].key]
    huge = jobs.wait(jobs.submit("album", lambda progress: Thing(9 << 20)).key)
    assert [job.key for job in jobs.all()] == [huge.key]


def test_forgetting_deletes_what_shows_a_person_and_what_may(jobs: Jobs) -> None:
    things = [Thing(people=("Anna", "ben")), Thing(people=("ben",)), Thing()]
    for thing in things:
        jobs.wait(jobs.submit("album", lambda progress, thing=thing: thing, people=("anna", "ben")).key)
    job, has_begun = running(jobs)
    waiting = jobs.submit("restoration", lambda progress: 0, people=("anna",))
    assert has_begun.wait(5)
    jobs.forget("anna")
    assert [thing.is_gone for thing in things] == [True, False, False]
    assert waiting.state == "stopped" and waiting not in jobs.all() and job in jobs.all()
    jobs.stop(job.key)


def test_the_files_of_a_job_go_when_it_is_over(jobs: Jobs, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "photo").write_bytes(b"x")
    job, has_begun = running(jobs)
    assert has_begun.wait(5)
    waits = jobs.submit("album", lambda progress: 0, tray=folders[0])
    jobs.stop(waits.key)
    jobs.stop(job.key)
    jobs.wait(jobs.submit("album", lambda progress: 0, tray=folders[1]).key)
    assert not any(folder.exists() for folder in folders)


def test_closing_stops_and_deletes_everything_and_takes_no_more(queues: Callable[[ServeSettings], Jobs]) -> None:
    jobs = queues(ServeSettings())
    thing = Thing()
    jobs.wait(jobs.submit("album", lambda progress: thing).key)
    job, has_begun = running(jobs)
    assert has_begun.wait(5)
    jobs.close()
    assert thing.is_gone and job.state == "stopped" and jobs.all() == ()
    with pytest.raises(QueueFullError):
        jobs.submit("album", lambda progress: 0)
