"""Which rows of a UNet call are positive."""

from __future__ import annotations

from typing import Any

POSITIVE = 0  # position of the positive conditioning in the host's cond_or_uncond


def positive_rows(extra_options: dict[str, Any], rows: int) -> list[bool]:
    """For each row of the attention batch, whether it belongs to the positive conditioning.

    The host stacks the conditionings of one call in equal chunks and lists them in ``cond_or_uncond``.
    """
    chunks = extra_options.get("cond_or_uncond", [POSITIVE])
    return [chunk == POSITIVE for chunk in chunks for _ in range(rows // len(chunks))]
