"""The same album in two processes: the same files, and what becomes of it when one of them ends."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from keepface.engine import processes
from keepface.engine.album import Keep
from keepface.engine.manifest import FOLDER
from keepface.engine.processes import InProcesses, processes_for
from keepface.engine.provenance import Options
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import KeepfaceError, WeightsError
from keepface.standby import import_ahead

from .worked import BAD, items_of, nine_photos, studio_of, worked

ROOT = Path(__file__).resolve().parents[2]
PLAIN = Options(RestoreSettings())
LONG = """
import functools, multiprocessing, sys
from pathlib import Path
from keepface.engine.album import Keep
from keepface.engine.processes import InProcesses
from keepface.engine.restorer import Restorer
from keepface.standby import import_ahead
from tests.engine.worked import items_of, nine_photos, studio_of

if __name__ == "__main__":
    folder = Path(sys.argv[2])
    networks = functools.partial(Restorer.from_pretrained, sys.argv[1], device="cpu")
    studio = studio_of(networks())
    items = items_of(nine_photos(folder) * 1000, folder)
    start = import_ahead("keepface.engine.processes") if sys.argv[3] == "ahead" else "spawn"
    run = InProcesses(networks, 3, 1, start)(items, studio, Keep(folder, "part", studio.options))
    next(run)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    list(run)
"""


class Waits(Restorer):
    """The real thing, which begins when another process has written a file."""

    def __init__(self, real: Restorer, folder: Path) -> None:
        super().__init__(real.method, real.embedder, real.judge)
        self._folder, self._waits = folder, True

    def restore_squares(self, low: Tensor, *rest: Any) -> Tensor:
        if self._waits:
            wait_until(lambda: any(self._folder.glob("*.part")))
            self._waits = False
        return super().restore_squares(low, *rest)


def killed() -> Restorer:
    """Be killed, as by a system that is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def unfound() -> Restorer:
    raise WeightsError("the family went away")


def wait_until(is_so: Any) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("is_ahead", [False, True])
def test_two_processes_make_the_same_files_as_one(
    tiny_family_folder: Path, tiny_restorer: Restorer, tmp_path: Path, is_ahead: bool
) -> None:
    start = import_ahead("keepface.engine.processes") if is_ahead else "spawn"
    threads = torch.get_num_threads()
    networks = functools.partial(Restorer.from_pretrained, tiny_family_folder, device="cpu")
    paths = nine_photos(tmp_path)
    one = worked(paths, tmp_path / "one", studio_of(tiny_restorer), InProcesses(networks, 1, 1))
    waits = Waits(tiny_restorer, tmp_path / "two" / FOLDER)
    two = worked(paths, tmp_path / "two", studio_of(waits), InProcesses(networks, 2, 1, start))
    assert one == two and len(one["files"]) == 8 and not one["asides"]
    assert [name for name, error in one["errors"].items() if error] == [BAD]
    assert torch.get_num_threads() == threads


def test_what_a_process_had_when_it_was_killed_is_missed_and_the_rest_is_done(
    tiny_restorer: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # so that another process finds this module
    paths = nine_photos(tmp_path)
    assert len(worked(paths, tmp_path / "all", studio_of(tiny_restorer), InProcesses(killed, 2, 1))["files"]) == 8
    real = processes._shared_out
    monkeypatch.setattr(processes, "_shared_out", lambda items, counter: real(items[:6], counter))  # in this process
    for networks, reason in ((killed, "ended from outside"), (unfound, "the family went away")):
        out = tmp_path / networks.__name__
        with pytest.raises(KeepfaceError, match=reason):
            worked(paths, out, studio_of(tiny_restorer), InProcesses(networks, 2, 1))
        assert len(list(out.glob("*.png"))) == 5


@pytest.mark.parametrize("start", ["from nothing", "ahead"])
def test_no_process_outlives_the_one_that_began_it(tiny_family_folder: Path, tmp_path: Path, start: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))}
    words = [sys.executable, "-c", LONG, str(tiny_family_folder), str(tmp_path), start]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2 and all(map(is_alive, children))
        parent.kill()
    wait_until(lambda: not any(map(is_alive, children)))


def test_a_run_that_is_stopped_ends_its_processes(
    tiny_family_folder: Path, tiny_restorer: Restorer, tmp_path: Path
) -> None:
    networks = functools.partial(Restorer.from_pretrained, tiny_family_folder, device="cpu")
    studio = studio_of(tiny_restorer)
    items = items_of(nine_photos(tmp_path), tmp_path)
    run = InProcesses(networks, 3, 1)(items, studio, Keep(tmp_path, "part", studio.options))
    next(run)
    children = [process.pid for process in processes.get_context("spawn").active_children()]
    run.close()
    assert len(children) == 2 and not any(is_alive(pid or 0) for pid in children)


def test_small_albums_and_what_shares_no_batch_stay_in_one_process(
    tiny_restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert [processes_for(photos, tiny_restorer, PLAIN) for photos in (1, 47, 48, 1000)] == [1, 1, 2, 2]
    assert processes_for(1000, tiny_restorer, Options(RestoreSettings(), candidates=3)) == 1
    assert processes_for(1000, tiny_restorer, Options(RestoreSettings(tile=True))) == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert processes_for(1000, tiny_restorer, PLAIN) <= processes.MOST_PROCESSES
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 2**19))  # 2 GiB
    assert processes_for(1000, tiny_restorer, PLAIN) == 1
