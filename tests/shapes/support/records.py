"""Records of studies made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ifadapter_diffusers.demo_settings import GUIDANCE, STEPS
from shapes.evidence.numbers.scores import ALL, MEASURES
from shapes.evidence.study import Record, Study

SETTINGS = {
    "weights": "0123",
    "layouts": 300,
    "steps": STEPS,
    "guidance": GUIDANCE,
    "seed": 0,
    "device": "cpu",
    "train_steps": 600,
    "train_batch": 160,
    "pool": 1000,
}


def record(
    study: Study,
    rates: Mapping[str, float],
    half: float = 0.02,
    extra: Mapping[str, Any] | None = None,
    groups: Mapping[tuple[str, str], float] | None = None,
) -> Record:
    """A record with these rates of every measure.

    rates: by key of the condition; 0.5 for others. half: half of all intervals. groups: rates by
    (key, group), where they differ.
    """

    def of(key: str, group: str) -> float:
        return (groups or {}).get((key, group), rates.get(key, 0.5))

    def interval(value: float) -> list[float]:
        return [value, value - half, value + half]

    def rated(key: str, group: str) -> dict[str, list[float]]:
        return {measure: interval(of(key, group)) for measure in MEASURES}

    conditions = {
        one.key: {
            "title": one.title,
            "pictures": 300,
            "instances": 1000,
            "frechet": 3.0 if study.frechet else None,
            "rates": {group: rated(one.key, group) for group in (ALL, *one.groups)},
        }
        for one in study.conditions
    }
    differences = {
        one.key: interval(of(one.a, one.group) - of(one.b, one.group)) for one in study.comparisons
    }
    left_out = set() if study.trains else {"train_steps", "train_batch", "pool"}
    if study.own_steps:
        left_out.add("train_steps")
    settings = {name: value for name, value in SETTINGS.items() if name not in left_out}
    return Record(
        {
            "settings": settings,
            "conditions": conditions,
            "differences": differences,
            "extra": dict(extra or {}),
        }
    )
