"""Selections of layouts, and the parts of a benchmark."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scenes import BACK, FRONT, SWEEP_BOXES

from evaluation.benchmark import read_benchmark
from evaluation.sweep.plan import Part, overlap
from ifadapter_core.layout import Instance, Layout


def test_overlap_is_the_largest_fraction_covered_by_one_box_in_front() -> None:
    measured = {
        name: overlap(Layout(32, 32, tuple(Instance(box, "cat") for box in boxes)))
        for name, boxes in SWEEP_BOXES.items()
    }
    assert measured == {"none": 0, "half": 0.5, "three": 0.5, "alone": 0}
    assert overlap(Layout(32, 32, (Instance(FRONT, "cat"), Instance(BACK, "cat")))) == pytest.approx(1 / 3)


def test_names_of_parts() -> None:
    parts = [
        Part("instances", 2, 3),
        Part("instances", 2, 5),
        Part("instances", 5, math.inf),
        Part("overlap", 0, 1),
    ]
    assert list(map(str, parts)) == ["2", "2 to 4", "5 and more", "0 to below 1"]


def test_the_upper_bound_of_a_part_is_excluded(benchmark: Path) -> None:
    read = read_benchmark(benchmark)
    assert set(Part("overlap", 0.0, 0.5).of(read)) == {"none", "alone"}
    assert set(Part("overlap", 0.5, math.inf).of(read)) == {"half", "three"}
