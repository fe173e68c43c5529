"""The log of what is said about the files of pictures: a folder may have a million of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from types import TracebackType

MAX_LINES = 10


class NoticeLog:
    """Context that logs a line for each of the first files with notices, then the number of the others.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files = 0

    def __enter__(self) -> NoticeLog:
        return self

    def add(self, path: str, notices: Iterable[str]) -> None:
        """Log the notices about a file, if there are any."""
        line = " ".join(notices)
        if not line:
            return
        with self._lock:
            self._files += 1
            is_logged = self._files <= MAX_LINES
        if is_logged:
            logging.warning("%s: %s", path, line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._files > MAX_LINES:
            logging.warning("There are notices about %d further files.", self._files - MAX_LINES)
