"""Seconds and highest memory of a piece of work."""

import math
import time
from pathlib import Path

import torch

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")  # Linux


class Watch:
    """Time what is done inside `with`; afterwards `seconds` and `peak_mib` hold what it took.

    The peak is of what torch allocated on CUDA, elsewhere of the whole process; nan where the system doesn't say.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds, self.peak_mib = 0.0, math.nan

    def __enter__(self) -> "Watch":
        """Start."""
        self._is_reset = _reset(self._device)
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, the device's work included."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds = time.perf_counter() - self._start
        self.peak_mib = _peak(self._device) if self._is_reset else math.nan


def _reset(device: torch.device) -> bool:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        RESET.write_text("5")  # forget the highest resident size so far
    except OSError:
        return False
    return True


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return math.nan
