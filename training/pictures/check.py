"""Finds the pictures of a folder that cannot be used for training, and says why."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

from tqdm.auto import tqdm

from ifadapter_core.layout import Layout
from ifadapter_diffusers.pictures import THREADS, picture_size

from .layout import read_layout

MAX_NAMES = 3  # pictures that a message lists


def bad_pictures(paths: Sequence[Path], slots: int | None, decode: bool) -> dict[Path, str]:
    """The reason, by picture, in the order of ``paths``. Reads them in parallel.

    slots: most boxes that a layout may have; None = any number.
    decode: decode every picture; else read the headers only, which does not find truncated files.
    """
    with ThreadPool(THREADS) as pool:
        found = pool.imap(partial(_reason, slots=slots, decode=decode), paths)
        bar = tqdm(found, "pictures", len(paths), unit="", dynamic_ncols=True, leave=False, disable=None)
        return {path: reason for path, reason in zip(paths, bar, strict=True) if reason}


def _reason(path: Path, slots: int | None, decode: bool) -> str | None:
    try:
        usable_layout(path, *picture_size(path, decode), slots)
    except ValueError as error:
        return one_line(error)
    return None


def usable_layout(path: Path, width: int, height: int, slots: int | None) -> Layout:
    """The layout of a picture, as ``read_layout`` reads it.

    Raises ValueError if it cannot be read or has more boxes than slots.
    """
    layout = read_layout(path, width, height)
    if slots is not None and len(layout.instances) > slots:
        raise ValueError(
            f"{path.with_suffix('.json')} has {len(layout.instances)} boxes, but the adapter has {slots} "
            "slots. Remove boxes, or raise adapter.shape.slots."
        )
    return layout


def report(count: int, bad: dict[Path, str]) -> str:
    """A line for each bad one of ``count`` pictures, and a summary."""
    lines = [*bad.values(), f"{count - len(bad)} of {count} pictures can be used."]
    return "\n".join([*lines, ""])


def one_line(error: Exception) -> str:
    """The message of an error without its line breaks."""
    return " ".join(str(error).split())


def check_share(bad: dict[Path, str], count: int, max_bad: float) -> None:
    """Raises ValueError if more than a fraction ``max_bad`` of ``count`` pictures is bad."""
    if len(bad) <= max_bad * count:
        return
    reasons = list(bad.values())
    more = f" And {len(reasons) - MAX_NAMES} more." if len(reasons) > MAX_NAMES else ""
    raise ValueError(
        f"{len(bad)} of {count} pictures cannot be used, more than folder.max_bad, {max_bad:.0%}. "
        f"{' '.join(reasons[:MAX_NAMES])}{more}"
    )
