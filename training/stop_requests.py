"""Ctrl-C and SIGTERM during a training: announced at once, obeyed where nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_SECONDS = 1.0  # a launcher repeats Ctrl-C to its processes, which is no second request
LEFT = 130  # exit status after Ctrl-C
FIRST = "\nStopping after this batch, then saving. Ctrl-C again leaves at once with the last saved state.\n"
FIRST_OF_SEVERAL = FIRST.replace("batch", "step")
LAUNCHER = "TORCHELASTIC_RUN_ID"  # environment variable of processes that torch's launcher starts
SECOND = "\nLeft without saving. The last saved state is whole; the same command resumes from it.\n"


class StopRequests:
    """Context in which the first Ctrl-C or SIGTERM is a request, and a later Ctrl-C ends the process.

    A thread reads the signals, so both act also while the main thread is inside a long operation.

    clock: in seconds. leave: ends the process.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, leave: Callable[[int], Any] = os._exit
    ) -> None:
        self.made = False
        self._clock, self._leave = clock, leave
        self._first: float | None = None
        self._first_signal = 0

    def __enter__(self) -> StopRequests:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._handlers = {number: signal.signal(number, self._request) for number in SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._writer.close()  # ends the thread
        self._thread.join()
        self._reader.close()

    def _request(self, number: int, frame: Any) -> None:
        self.made = True

    def _watch(self) -> None:
        """Python writes the number of each signal to the socket as soon as it arrives."""
        while data := self._reader.recv(1):
            if data[0] in SIGNALS:
                self.receive(data[0])

    def receive(self, number: int) -> None:
        """Announce a signal, or end the process."""
        now = self._clock()
        if self._first is None:
            self._first, self._first_signal = now, number
            _say(FIRST if os.environ.get("WORLD_SIZE", "1") == "1" else FIRST_OF_SEVERAL)
        elif now - self._first > SAME_SECONDS and self._asks_again(number):
            _say(SECOND)
            self._leave(LEFT)

    def _asks_again(self, number: int) -> bool:
        """Whether a signal is a second Ctrl-C. Torch's launcher sends SIGTERM for that."""
        launched = LAUNCHER in os.environ and self._first_signal == signal.SIGINT
        return number == signal.SIGINT or launched


def _say(text: str) -> None:
    """Write to the terminal, in the first of several processes only."""
    if os.environ.get("RANK", "0") == "0":
        sys.stderr.write(text)
        sys.stderr.flush()
