"""Errors about the content of adapter files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..config import unquoted

MAX_LISTED = 8  # keys listed per kind of problem in an error
EXPECTED = (
    "Expected the release's spd_adapter.bin (Hugging Face: WuYW/IFAdapter), or a .safetensors made from it "
    "by python -m ifadapter_core.convert or by this project's trainer."
)


class CheckpointError(ValueError):
    """Not an IFAdapter, or an incomplete one. The message lists the problems."""


def listed(keys: Sequence[str]) -> str:
    """At most MAX_LISTED keys, and how many more there are."""
    more = len(keys) - MAX_LISTED
    return ", ".join(unquoted(key) for key in keys[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def raise_if_any(problems: Mapping[str, Sequence[str]]) -> None:
    """Raise one CheckpointError that lists all problems."""
    found = [f"{len(keys)} {kind}: {listed(keys)}" for kind, keys in problems.items() if keys]
    if found:
        raise CheckpointError(f"This IFAdapter file does not fit together: {'; '.join(found)}. {EXPECTED}")
