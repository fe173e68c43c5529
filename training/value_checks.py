"""Checks of the values of a config: one line says which key, what was given and what is expected."""

from __future__ import annotations

import math
import os
from typing import Annotated, Any

from pydantic import AfterValidator

# A path, a URL or a name. Shells leave the ~ of a home folder in arguments such as cache.path=~/cache.
PathText = Annotated[str, AfterValidator(os.path.expanduser)]


def at_least(config: Any, low: float, *names: str) -> None:
    """Raises ValueError if a field of a dataclass is below ``low`` or not finite."""
    for name in names:
        value = getattr(config, name)
        if not low <= value < math.inf:
            raise ValueError(f"{name} is {value}; expected at least {low}.")


def above(config: Any, low: float, *names: str) -> None:
    """Raises ValueError if a field of a dataclass is not above ``low``, or not finite."""
    for name in names:
        value = getattr(config, name)
        if not low < value < math.inf:
            raise ValueError(f"{name} is {value}; expected more than {low}.")


def fraction(config: Any, *names: str, one: bool = True) -> None:
    """Raises ValueError if a field of a dataclass is outside 0..1. one: whether 1 is allowed."""
    for name in names:
        value = getattr(config, name)
        if not (0 <= value <= 1 if one else 0 <= value < 1):
            raise ValueError(f"{name} is {value}; expected 0 to 1" + ("." if one else ", without 1."))


def finite(config: Any, *names: str) -> None:
    """Raises ValueError if a field of a dataclass is infinite or not a number. None is allowed."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name} is {value}; expected a finite number.")


def filled(config: Any, *names: str) -> None:
    """Raises ValueError if a text or a tuple of a dataclass is empty."""
    for name in names:
        if not getattr(config, name):
            raise ValueError(f"{name} is empty; expected at least one value.")


def percent(config: Any, name: str) -> float:
    """The fraction that a text such as ``2%`` gives. Raises ValueError outside of 0 to 50 %, without 0."""
    text = getattr(config, name)
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not 0 < value <= 50:
        raise ValueError(f"{name} is {text}; expected a share of more than 0% and at most 50%, such as 2%.")
    return value / 100
