"""Memory that a process keeps is there without a page fault when it is asked for again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from keepface.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for turn in range(6):
    block = bytearray(64 * 2**20)
    del block
    if turn == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word: str) -> int:
    words = [sys.executable, "-c", FAULTS, word]
    return int(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
def test_kept_memory_is_there_again_without_faults() -> None:
    assert 10 * faults("kept") < faults("given back")
