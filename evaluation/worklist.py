"""Work that threads share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Worklist(Generic[T]):
    """Items, each taken by one worker at a time; what is given back is taken by the next."""

    def __init__(self, items: Iterable[T]) -> None:
        self._waiting = deque(items)
        self._taken = 0
        self._changed = Condition()

    def take(self) -> T | None:
        """The next item; waits while others may still give theirs back. None: nothing is left for anyone."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._taken)
            if not self._waiting:
                return None
            self._taken += 1
            return self._waiting.popleft()

    def done(self, again: T | None = None) -> None:
        """One taken item is dealt with, or comes back."""
        with self._changed:
            self._taken -= 1
            if again is not None:
                self._waiting.append(again)
            self._changed.notify_all()

    def clear(self) -> list[T]:
        """What nobody took."""
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return left


def in_threads(tasks: Sequence[Callable[[], None]]) -> None:
    """All at once, to their end. On Ctrl-C nobody waits for them: the threads die with the process.

    A single task runs in the thread of the caller, since one that is at work in torch would take the process down with it.
    """
    if len(tasks) == 1:
        return tasks[0]()
    threads = [Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
