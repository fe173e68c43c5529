"""SEGS, the value of the Impact Pack's detectors and detailers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ...ifadapter_core.conversions.segments import Segment

IMPACT_MODULE = "impact.core"  # where the Impact Pack defines SEG


def to_segs(height: int, width: int, segments: Sequence[Segment]) -> tuple[tuple[int, int], list[Any]]:
    """SEGS of a picture of this size in pixels.

    The segments are of the Impact Pack's own type where that pack is loaded, else of a type with the same
    fields, which this pack's nodes and all that read SEGS by their fields take as well.
    """
    kind = _impact_segment()
    return (height, width), [kind(**segment._asdict()) for segment in segments]


def _impact_segment() -> Any:
    """The loaded Impact Pack's SEG, if it has our fields; else our own. Never imports the pack."""
    kind = getattr(sys.modules.get(IMPACT_MODULE), "SEG", None)
    return kind if set(Segment._fields) <= set(getattr(kind, "_fields", ())) else Segment
