"""What every reader of a format gives: drafts of instances. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .fields import Corners


@dataclass(frozen=True)
class Draft:
    """An instance as read, not checked yet.

    number: position in the input, from 1, for error messages.
    corners: x0, y0, x1, y1 as fractions of the canvas; None if the input has only a description.
    description: local description, or "".
    strength: factor on the adapter's effect.
    """

    number: int
    corners: Corners | None
    description: str
    strength: float = 1.0


Reading = tuple[str, list[Draft]]  # the global caption, or "", and the instances from back to front


@dataclass(frozen=True)
class LayoutFormat:
    """One supported format.

    description: for error messages.
    matches: whether parsed JSON is in this format.
    read: parsed JSON, width and height of the canvas in pixels -> caption and drafts.
    """

    description: str
    matches: Callable[[Any], bool]
    read: Callable[[Any, int, int], Reading]


def has_key(data: Any, *keys: str) -> bool:
    """Whether parsed JSON is an object with at least one of these keys."""
    return isinstance(data, dict) and any(key in data for key in keys)
