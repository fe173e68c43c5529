"""A CSV file with rows by step, continued when a run resumes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path


class CsvLog:
    """Rows that begin with a step. Opening it drops the rows of steps that the run has not done.

    step: done by the run; 0 = a new run, which keeps no row.
    writes: whether this process writes the file; only one of several processes does.
    header: names of the columns; by default the first row gives them.
    """

    def __init__(self, path: Path, step: int, writes: bool, header: Sequence[str] = ()) -> None:
        self.path, self.writes = path, writes
        if writes and path.exists():
            first, *rows = self._lines()
            self._write("w", [first, *(row for row in rows if step and int(row[0]) <= step)])
        elif writes and header:
            self._write("w", [header])

    def add(self, values: dict[str, float]) -> None:
        """Append a row, the step first. No-op in a process that writes none."""
        if not self.writes:
            return
        if not self.path.exists():
            self._write("w", [list(values)])
        texts = [str(value) if isinstance(value, int) else f"{value:.6f}" for value in values.values()]
        self._write("a", [texts])

    def curve(self) -> list[tuple[int, float]]:
        """Step and first value of each row."""
        rows = self._lines()[1:] if self.path.exists() else []
        return [(int(row[0]), float(row[1])) for row in rows]

    def _lines(self) -> list[list[str]]:
        """All lines, unparsed, so that rewriting them does not change them."""
        with self.path.open(newline="") as file:
            return list(csv.reader(file))

    def _write(self, mode: str, rows: Sequence[Sequence[str]]) -> None:
        with self.path.open(mode, newline="") as file:
            csv.writer(file).writerows(rows)
