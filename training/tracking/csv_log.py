"""A CSV file with rows by step, continued when a run resumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..whole_files import write_whole

LINE_END = "\r\n"  # of RFC 4180


class CsvLog:
    """Rows of numbers that begin with a step. A file without a whole header counts as missing.

    Opening it drops the rows of steps that the run has not done, and rows that were cut off.

    step: done by the run; 0 = a new run, which keeps no row.
    writes: whether this process writes the file; only one of several processes does.
    header: names of the columns; by default the first row gives them.
    """

    def __init__(self, path: Path, step: int, writes: bool, header: Sequence[str] = ()) -> None:
        self.path, self.writes = path, writes
        if not writes:
            return
        first, rows = self._whole_lines()
        first = first or (_line(header) if header else b"")
        kept = b"".join([first, *(row for row in rows if step and _step(row) <= step)])
        if kept and (not path.exists() or kept != path.read_bytes()):
            write_whole(path, kept)
        elif not kept:
            path.unlink(missing_ok=True)

    def add(self, values: dict[str, float]) -> None:
        """Append a row, the step first. No-op in a process that writes none."""
        if not self.writes:
            return
        texts = [str(value) if isinstance(value, int) else f"{value:.6f}" for value in values.values()]
        header = b"" if self.path.exists() else _line(list(values))
        with self.path.open("ab") as file:
            file.write(header + _line(texts))

    def curve(self) -> list[tuple[int, float]]:
        """Step and first value of each row."""
        _, rows = self._whole_lines()
        return [(_step(row), float(row.split(b",")[1])) for row in rows]

    def _whole_lines(self) -> tuple[bytes, list[bytes]]:
        """The header, empty without one, and the rows that are whole: unparsed, with their line ends."""
        content = self.path.read_bytes() if self.path.exists() else b""
        lines = [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]
        header, *rows = lines or [b""]
        return header, [row for row in rows if _is_row(row, header.count(b",") + 1)]


def _line(texts: Sequence[str]) -> bytes:
    return (",".join(texts) + LINE_END).encode()


def _step(row: bytes) -> int:
    return int(row.split(b",")[0])


def _is_row(row: bytes, columns: int) -> bool:
    """Whether a line is a step and a number for each other column."""
    step, *values = row.split(b",")
    try:
        numbers = [int(step), *map(float, values)]
    except ValueError:
        return False
    return len(numbers) == columns
