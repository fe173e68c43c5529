"""Options of a command that were given, and those that cannot be used with the others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


def refuse(options: argparse.Namespace, names: Sequence[str], reason: str) -> None:
    """Raises ValueError if one of these options was given: is not None."""
    given_ones = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]
    if given_ones:
        raise ValueError(f"{', '.join(given_ones)} cannot be used: {reason}.")


def given(value: Any, default: Any) -> Any:
    return default if value is None else value


def at_least(options: argparse.Namespace, least: int, *names: str) -> None:
    """Raises ValueError if one of these options was given and is smaller."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} is {value}; expected at least {least}.")
