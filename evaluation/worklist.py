"""A queue of work that threads share and can return items to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Worklist(Generic[T]):
    """Items for several workers.

    A worker takes one item at a time, and finishes it or returns it.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._waiting = deque(items)
        self._taken = 0
        self._changed = Condition()

    def take(self) -> T | None:
        """The next item, or None when all are finished.

        Waits while other workers may still return theirs.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._taken)
            if not self._waiting:
                return None
            self._taken += 1
            return self._waiting.popleft()

    def done(self, again: T | None = None) -> None:
        """Finish a taken item. again: the item itself, to queue it for another attempt."""
        with self._changed:
            self._taken -= 1
            if again is not None:
                self._waiting.append(again)
            self._changed.notify_all()

    def clear(self) -> list[T]:
        """Remove and return the items that no worker has taken."""
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return left


def in_threads(tasks: Sequence[Callable[[], None]]) -> None:
    """Run all tasks concurrently and wait for them.

    The threads are daemons: on Ctrl-C the process ends without waiting for them. A single task runs
    in the calling thread, because a daemon thread that is inside torch crashes the process at exit.
    """
    if len(tasks) == 1:
        tasks[0]()
        return
    threads = [Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
