"""The report of `make gpu`: rows and errors of each part, in a JSON file that is written after every row."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class RowTimeoutError(BaseException):
    """A row took longer than its part may take. No Exception, which torch's compiler might handle itself."""


class Report:
    """Content of the JSON file.

    data: {"setting": {...}, "parts": {name: {"rows", "errors", "left_out", "seconds", "finished"}}}.
    """

    def __init__(self, path: Path) -> None:
        """Continues the file at ``path`` if there is one."""
        self.path = path
        empty: dict[str, Any] = {"setting": {}, "parts": {}}
        self.data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else empty

    def write(self) -> None:
        """Atomic write: temporary file, then rename."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".{self.path.name}.part")
        part.write_text(json.dumps(self.data, indent=1) + "\n")
        os.replace(part, self.path)

    def part(self, name: str, seconds: float) -> Part:
        """A new part, which replaces an earlier one of this name. seconds: its time limit."""
        return Part(self, name, seconds)

    @property
    def failed(self) -> list[str]:
        """Names of the parts with an error, and of those that did not finish."""
        parts = self.data["parts"].items()
        return [name for name, part in parts if part["errors"] or not part["finished"]]


class Part:
    """One part of the report. A failing row is recorded and the next row goes on."""

    def __init__(self, report: Report, name: str, seconds: float) -> None:
        self._report = report
        self._start = time.monotonic()
        self._seconds = seconds
        self.name = name
        self.content: dict[str, Any] = {
            "rows": [],
            "errors": [],
            "left_out": [],
            "seconds": 0.0,
            "finished": False,
        }
        report.data["parts"][name] = self.content
        report.write()

    @property
    def seconds_left(self) -> float:
        return self._start + self._seconds - time.monotonic()

    def row(self, what: Mapping[str, Any], fill: Callable[[Row], None]) -> None:
        """Measure one row. what: its identity. fill: adds the measurements; it may raise."""
        row = dict(what)
        if self.seconds_left <= 0:
            self.leave_out(f"{_words(what)}: the part's {self._seconds:.0f} s were over")
            return
        try:
            with _time_limit(self.seconds_left):
                fill(row)
        except RowTimeoutError:
            self.leave_out(f"{_words(what)}: not finished within the part's {self._seconds:.0f} s")
        except Exception as error:
            self.fail(_words(what), error)
        if len(row) > len(what):
            self.add(row)

    def add(self, row: Row) -> None:
        """Add a measured row. The caller may change it later and call ``flush``."""
        self.content["rows"].append(row)
        self.flush()

    def fail(self, what: str, error: Exception) -> None:
        """Record an error; the traceback goes to the terminal."""
        traceback.print_exception(error, file=sys.stderr)
        message = (str(error).splitlines() or [""])[0][:300]
        self.content["errors"].append(f"{what}: {type(error).__name__}: {message}")
        self.flush()

    def leave_out(self, reason: str) -> None:
        """Record what is not measured, and why. This is no error."""
        self.content["left_out"].append(reason)
        self.flush()

    def finish(self) -> None:
        self.content["finished"] = True
        self.flush()

    def flush(self) -> None:
        """Write the report with the present rows."""
        self.content["seconds"] = round(time.monotonic() - self._start, 1)
        self._report.write()


def _words(what: Mapping[str, Any]) -> str:
    return ", ".join(str(value) for value in what.values())


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise RowTimeoutError in the block after this time. No limit where the system has no such alarm."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: Any) -> None:
        raise RowTimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
