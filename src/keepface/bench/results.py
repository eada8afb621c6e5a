"""The journal of a suite: one CSV line a restored picture, so that a run that stopped goes on where it was."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepface.errors import DataError

KEYS = ("preset", "row", "person", "photo", "led_by", "seed", "seconds", "peak_mib", "flagged", "note")
FAILED = "failed: "  # begins the note of what may go better when it is tried again


@dataclass(frozen=True)
class Result:
    """What was measured on one picture; `note` says why there is nothing, and is empty otherwise."""

    preset: str
    row: str
    person: str
    photo: int
    led_by: tuple[int, ...]
    seed: int
    seconds: float  # to make the picture, its share of the batch
    flagged: tuple[str, ...]  # metrics for which no face was found and one had to be supposed
    note: str
    values: dict[str, float]  # nan: this picture can't be measured so
    peak_mib: float = math.nan  # highest memory while its batch was made; nan: not known here

    @property
    def is_final(self) -> bool:
        """Whether a later run need not try again."""
        return not self.note.startswith(FAILED)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes a result the same as another: preset, row and person."""
        return self.preset, self.row, self.person


class Journal:
    """A folder's `results.csv`, appended batch by batch and read back whole."""

    def __init__(self, folder: Path, metrics: Sequence[str]) -> None:
        self.path = folder / "results.csv"
        self.metrics = tuple(metrics)

    def read(self) -> list[Result]:
        """Return every result in the file, the last one of each key; a line cut short by a stop is taken out of it.

        Raises:
            DataError: the file's columns are not those of these metrics.
        """
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_aside(self.path, whole)
        lines = csv.DictReader(io.StringIO(whole))
        if whole and tuple(lines.fieldnames or ()) != KEYS + self.metrics:
            raise DataError(f"{self.path}: columns are {lines.fieldnames}; this run writes {[*KEYS, *self.metrics]}")
        found = [self._result(line) for line in lines]
        return list({result.key: result for result in found}.values())

    def append(self, results: Iterable[Result]) -> None:
        """Add results at the end of the file, and make sure that they are on the disk."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, KEYS + self.metrics, lineterminator="\n")
        if not self.path.exists() or self.path.stat().st_size == 0:
            writer.writeheader()
        for result in results:
            writer.writerow(self._line(result))
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())

    def _line(self, result: Result) -> dict[str, Any]:
        plain = {
            "led_by": " ".join(str(index) for index in result.led_by),
            "flagged": ";".join(result.flagged),
            "seconds": f"{result.seconds:.4f}",
            "peak_mib": f"{result.peak_mib:.1f}",
        }
        values = {name: repr(result.values[name]) for name in self.metrics if name in result.values}
        return {name: getattr(result, name) for name in KEYS} | plain | values

    def _result(self, line: Mapping[str, str]) -> Result:
        return Result(
            preset=line["preset"],
            row=line["row"],
            person=line["person"],
            photo=int(line["photo"]),
            led_by=tuple(int(index) for index in line["led_by"].split()),
            seed=int(line["seed"]),
            seconds=float(line["seconds"]),
            peak_mib=float(line["peak_mib"]),
            flagged=tuple(name for name in line["flagged"].split(";") if name),
            note=line["note"],
            values={name: float(line[name]) for name in self.metrics if line[name]},
        )


def write_aside(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all."""
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def keep_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a run into its folder, or check that those there are the same.

    Raises:
        DataError: the folder holds results of other settings.
    """
    path = folder / "suite.json"
    wanted = json.loads(json.dumps(settings))
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        if changed:
            name = changed[0]
            raise DataError(
                f"{folder}: the results there were measured with {name} = {there.get(name)!r}, this run has "
                f"{wanted.get(name)!r}; give another folder with -o"
            )
        return
    write_aside(path, json.dumps(wanted, indent=1) + "\n")


def keep_cards(folder: Path, cards: Mapping[str, Any]) -> None:
    """Add the cards of the systems that made results to a folder's `systems.json`; more may come with later runs.

    Raises:
        DataError: a system of that name was another one before.
    """
    path = folder / "systems.json"
    there = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    wanted = json.loads(json.dumps(cards))
    for name, card in wanted.items():
        if there.get(name, card) != card:
            raise DataError(
                f"{folder}: the results there of {name!r} were made by other networks (systems.json); "
                "give another folder with -o"
            )
    write_aside(path, json.dumps(there | wanted, indent=1) + "\n")
