"""Confusion matrices: the asked value of an attribute against the one that the judge recognized."""

from __future__ import annotations

from collections.abc import Sequence

from ..scene import PATTERNS, SHAPES
from .picture_score import InstanceScore

VALUES = {"pattern": PATTERNS, "shape": SHAPES}  # possible values of each attribute
NOT_FOUND = "not found"

Matrix = dict[str, dict[str, int]]  # asked value -> recognized value or NOT_FOUND -> instances


def confusion(instances: Sequence[InstanceScore], attribute: str) -> Matrix:
    """Counts of instances. Values that were never asked have no row.

    attribute: a key of VALUES.
    """
    matrix: Matrix = {}
    for asked in VALUES[attribute]:
        of_value = [one for one in instances if getattr(one.asked, attribute) == asked]
        if of_value:
            seen = [NOT_FOUND if one.seen is None else getattr(one.seen, attribute) for one in of_value]
            matrix[asked] = {value: seen.count(value) for value in (*VALUES[attribute], NOT_FOUND)}
    return matrix
