"""What is imported ahead is there in a process as it begins."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SEEN = """
import sys
from multiprocessing import get_context
from keepface.standby import import_ahead

def tell(pipe):
    pipe.send("xml.dom.pulldom" in sys.modules)

if __name__ == "__main__":
    start = import_ahead("xml.dom.pulldom") if sys.argv[1] == "ahead" else "spawn"
    context = get_context(start)
    pipe, theirs = context.Pipe(duplex=False)
    process = context.Process(target=tell, args=(theirs,))
    process.start()
    print(pipe.recv(), "xml.dom.pulldom" in sys.modules)
    process.join()
"""

MASK = """
import signal
from pathlib import Path

blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
Path(__file__).with_suffix(".txt").write_text(f"{signal.SIGINT in blocked}")
"""

MASKED = """
import signal
from multiprocessing import get_context
from pathlib import Path
from keepface.standby import import_ahead

if __name__ == "__main__":
    process = get_context(import_ahead("mask")).Process(target=print)
    process.start()
    process.join()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    print(Path(__file__).with_name("mask.txt").read_text(), signal.SIGINT in blocked)
"""

WAITS = """
import time
from keepface.standby import import_ahead

if __name__ == "__main__":
    import_ahead("torch")
    try:
        print("begun", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize(("word", "is_there"), [("ahead", sys.platform == "linux"), ("from nothing", False)])
def test_a_process_begins_with_what_was_imported_ahead(tmp_path: Path, word: str, is_there: bool) -> None:
    script = tmp_path / "seen.py"
    script.write_text(SEEN, encoding="utf-8")
    words = [sys.executable, str(script), word]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout
    assert said.split() == [str(is_there), "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the server")
def test_while_the_server_imports_it_hears_of_no_interrupt_and_the_one_who_asked_does(tmp_path: Path) -> None:
    for name, text in (("mask", MASK), ("masked", MASKED)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    words, found = [sys.executable, str(tmp_path / "masked.py")], os.environ | {"PYTHONPATH": str(tmp_path)}
    said = subprocess.run(words, env=found, capture_output=True, text=True, check=True, timeout=120).stdout
    assert said.split() == ["True", "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the server")
def test_an_interrupt_is_for_the_one_who_asked_alone(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text(WAITS, encoding="utf-8")
    words = [sys.executable, str(script)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as asked:
        assert asked.stdout is not None and asked.stdout.readline() == "begun\n"
        os.killpg(asked.pid, signal.SIGINT)
        said, complaints = asked.communicate(timeout=60)
    assert said == "interrupted\n" and complaints == ""
