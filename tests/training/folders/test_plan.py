"""Batches of pictures of one canvas: determined by their number, and every picture used equally often."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ifadapter_diffusers.randomness import seeded_generator
from training.cropping.buckets import Canvas
from training.cropping.plan import BatchPlan

TALL, SQUARE, WIDE = Canvas(64, 128), Canvas(64, 64), Canvas(128, 64)
counts = st.lists(st.integers(1, 12), min_size=1, max_size=3)
batch_sizes = st.integers(1, 7)


class Shuffled:
    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, epoch: int) -> Tensor:
        return torch.randperm(self.count, generator=seeded_generator(4, epoch))


def plan_of(counts: list[int], batch_size: int) -> BatchPlan:
    canvases = [
        canvas for canvas, count in zip((TALL, SQUARE, WIDE), counts, strict=False) for _ in range(count)
    ]
    return BatchPlan(canvases, batch_size, Shuffled(len(canvases)))


def samples(plan: BatchPlan, number: int) -> list[int]:
    return [use.samples[0] for use in plan(number)[1]]


@given(counts, batch_sizes)
@settings(max_examples=60, deadline=None)
def test_a_batch_has_pictures_of_one_canvas(counts: list[int], batch_size: int) -> None:
    plan = plan_of(counts, batch_size)
    starts = [sum(counts[:number]) for number in range(len(counts) + 1)]
    for number in range(30):
        canvas, uses = plan(number)
        assert len(uses) == batch_size
        bucket = (TALL, SQUARE, WIDE).index(canvas)
        for use in uses:
            assert all(starts[bucket] <= sample < starts[bucket + 1] for sample in use.samples)
            assert sorted(use.samples) == list(range(starts[bucket], starts[bucket + 1]))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=3), batch_sizes)
@settings(max_examples=100, deadline=None)
def test_after_each_epoch_all_pictures_are_used_equally_often(more: list[int], batch_size: int) -> None:
    """By one at most, if each canvas has a full batch of pictures. None waits longer than an epoch."""
    counts = [batch_size + extra for extra in more]
    plan, used, number = plan_of(counts, batch_size), Counter(), 0
    for epoch in range(1, 8):
        until = sum(epoch * count // batch_size for count in counts)
        while number < until:
            used.update(samples(plan, number))
            number += 1
        assert {used[sample] for sample in range(sum(counts))} <= {epoch - 1, epoch}


@given(counts, batch_sizes)
@settings(max_examples=60, deadline=None)
def test_no_picture_is_lost_in_a_rare_canvas(counts: list[int], batch_size: int) -> None:
    """Each canvas's pictures are used in whole epochs, one after the other."""
    plan = plan_of(counts, batch_size)
    found: dict[Canvas, list[int]] = {}
    indices = []
    for number in range(40):
        canvas, uses = plan(number)
        found.setdefault(canvas, []).extend(use.samples[0] for use in uses)
        indices += [use.index for use in uses]
    assert len(set(indices)) == len(indices)
    for canvas, used in found.items():
        count = counts[(TALL, SQUARE, WIDE).index(canvas)]
        for start in range(0, len(used) - count + 1, count):
            assert len(set(used[start : start + count])) == count


@given(counts, batch_sizes, st.lists(st.integers(0, 60), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_batch_is_determined_by_its_number(counts: list[int], batch_size: int, numbers: list[int]) -> None:
    """Whatever was asked for before: a resumed run and each of several processes see the same."""
    plan = plan_of(counts, batch_size)
    for number in numbers:
        canvas, uses = plan(number)
        other, again = pickle.loads(pickle.dumps(plan_of(counts, batch_size)))(number)
        assert canvas == other
        assert [(use.index, use.epoch, list(use.samples)) for use in uses] == [
            (use.index, use.epoch, list(use.samples)) for use in again
        ]


@given(st.integers(1, 9), batch_sizes)
@settings(max_examples=40, deadline=None)
def test_one_canvas_gives_the_order_of_each_epoch(count: int, batch_size: int) -> None:
    """As one sequence through all epochs, the batches after each other."""
    plan, order = plan_of([count], batch_size), Shuffled(count)
    expected = torch.cat([order(epoch) for epoch in range(90)]).tolist()
    found = [use for number in range(12) for use in plan(number)[1]]
    assert [use.samples[0] for use in found] == expected[: len(found)]
    assert [use.index for use in found] == list(range(len(found)))
    assert [use.epoch for use in found] == [use.index // count for use in found]


def test_the_next_of_the_canvas_takes_the_place_of_a_bad_picture() -> None:
    """Those that are known to be bad are in no batch."""
    canvases = [SQUARE, None, SQUARE, WIDE, SQUARE]
    plan = BatchPlan(canvases, 1, lambda epoch: torch.tensor([4, 1, 3, 2, 0]))
    assert [list(plan(number)[1][0].samples) for number in range(4)] == [[4, 2, 0], [3], [2, 0, 4], [0, 4, 2]]
    assert [plan(number)[1][0].index for number in range(5)] == [0, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="No picture can be used"):
        BatchPlan([None], 1, Shuffled(1))
