"""Finds the samples that cannot be used for training, and says why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from typing import TypeVar

from tqdm.auto import tqdm

from ifadapter_diffusers.pictures import THREADS

from .samples import Samples

MAX_NAMES = 3  # pictures that a message lists

T = TypeVar("T")


def undecodable(samples: Samples, indices: Sequence[int] | None = None) -> dict[int, str]:
    """Decode samples in parallel: the reason, by index, of each that cannot be used.

    indices: of the samples; None = all.
    """

    def reason(index: int) -> str | None:
        try:
            samples.check(index)
        except ValueError as error:
            return one_line(error)
        return None

    chosen = range(len(samples)) if indices is None else indices
    with ThreadPool(THREADS) as pool:
        found = progress(pool.imap(reason, chosen), len(chosen))
        return {index: text for index, text in zip(chosen, found, strict=True) if text}


def progress(items: Iterable[T], count: int) -> Iterator[T]:
    """Iterate with a progress bar in a terminal."""
    bar: Iterator[T] = iter(
        tqdm(items, "pictures", count, unit="", dynamic_ncols=True, leave=False, disable=None)
    )
    return bar


def report(count: int, bad: Mapping[str, str]) -> str:
    """A line for each bad one of ``count`` pictures, and a summary."""
    lines = [*bad.values(), f"{count - len(bad)} of {count} pictures can be used."]
    return "\n".join([*lines, ""])


def one_line(error: Exception) -> str:
    """The message of an error without its line breaks."""
    return " ".join(str(error).split())


def check_share(bad: Collection[str], count: int, max_bad: float, setting: str = "folder.max_bad") -> None:
    """Raises ValueError if more than a fraction ``max_bad`` of ``count`` pictures is bad.

    bad: the reasons. setting: name of the fraction, for the message.
    """
    if len(bad) <= max_bad * count:
        return
    reasons = list(bad)
    more = f" And {len(reasons) - MAX_NAMES} more." if len(reasons) > MAX_NAMES else ""
    raise ValueError(
        f"{len(bad)} of {count} pictures cannot be used, more than {setting}, {max_bad:.0%}. "
        f"{' '.join(reasons[:MAX_NAMES])}{more}"
    )
