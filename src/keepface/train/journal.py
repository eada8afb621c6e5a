"""A run's journal: one JSON line a step, readable while the run goes on."""

import json
from pathlib import Path
from typing import Any


class Journal:
    """Append JSON lines to a file; on resume, lines after the checkpoint's step are dropped."""

    def __init__(self, path: Path, first_step: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept: list[str] = []
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step(line) < first_step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Write one line: the step (counted from 0) and its values."""
        rounded = {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **rounded}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        return float("inf")  # a line cut off half-way
