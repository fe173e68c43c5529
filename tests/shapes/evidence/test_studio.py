"""A study is painted and judged through a cache, and resumes after a stop."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifadapter_diffusers.painter import Painter
from ifadapter_diffusers.sampling import Control
from shapes.evidence.layouts.layout_sets import LayoutSet
from shapes.evidence.numbers.reference import frechet
from shapes.evidence.numbers.step_time import measure_steps
from shapes.evidence.painting import Painting
from shapes.evidence.run import run_study
from shapes.evidence.studies import cost, tokens
from shapes.evidence.studio import Options, Studio
from shapes.evidence.study import Comparison, Condition, Study

DEMO = Path(__file__).resolve().parents[3] / "demo"
LAYOUTS, CHUNK = 4, 2
STUDY: Study = replace(
    tokens.STUDY,
    conditions=[
        Condition("full", "both", Painting()),
        Condition("eot", "EoT", Painting("eot"), groups=("front",)),
    ],
    comparisons=[Comparison("full", "eot")],
)


@pytest.fixture
def judges() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def studio(judges: ThreadPoolExecutor, work: Path, **changed: Any) -> Studio:
    options = Options(demo=DEMO, work=work, layouts=LAYOUTS, steps=1, **changed)
    made = Studio(options, judges)
    made.chunk = CHUNK
    return made


class Counting:
    """Counts the chunks that are painted, and stops before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.painted, self.stop_before = 0, -1
        original = Painter.paint

        def paint(painter: Painter, *arguments: Any) -> Any:
            if self.painted == self.stop_before:
                raise KeyboardInterrupt
            self.painted += 1
            return original(painter, *arguments)

        monkeypatch.setattr(Painter, "paint", paint)


@pytest.mark.slow
def test_a_stopped_study_resumes_with_the_same_numbers(
    tmp_path: Path, judges: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    whole = run_study(STUDY, studio(judges, tmp_path / "whole"))
    chunks = len(STUDY.conditions) * LAYOUTS // CHUNK
    assert counting.painted == chunks

    # Stopped before the last chunk; what a killed process had begun to write stays behind.
    counting.painted, counting.stop_before = 0, chunks - 1
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, studio(judges, tmp_path / "stopped"))
    place = next((tmp_path / "stopped" / "pictures").iterdir())
    (place / "00002_0.npz.1.new").write_bytes(b"half")
    counting.painted, counting.stop_before = 0, -1
    assert run_study(STUDY, studio(judges, tmp_path / "stopped")) == whole
    assert counting.painted == 1

    # Nothing is left to do.
    assert run_study(STUDY, studio(judges, tmp_path / "stopped")) == whole
    assert counting.painted == 1


@pytest.mark.slow
def test_more_layouts_keep_the_pictures_of_the_first(
    tmp_path: Path, judges: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    few, more = studio(judges, tmp_path), studio(judges, tmp_path)
    few.options = replace(few.options, layouts=CHUNK)
    first = few.scores(Painting(), LayoutSet(), "")
    both = more.scores(Painting(), LayoutSet(), "")
    assert counting.painted == LAYOUTS // CHUNK
    np.testing.assert_array_equal(both.hits[: len(first.hits)], first.hits)


def test_every_setting_that_changes_a_picture_changes_its_place(
    tmp_path: Path, judges: ThreadPoolExecutor
) -> None:
    base = studio(judges, tmp_path)
    others = [
        base.settings(painting, layouts)
        for painting, layouts in (
            (Painting(), LayoutSet()),
            (Painting("eot"), LayoutSet()),
            (Painting(control=Control(strength=0.5)), LayoutSet()),
            (Painting(control=Control(front_hides_back=True)), LayoutSet()),
            (Painting(steps=4), LayoutSet()),
            (Painting(), LayoutSet("pairs", 0.2)),
            (Painting(), LayoutSet("pairs", 0.4)),
        )
    ]
    others += [
        studio(judges, tmp_path, **changed).settings(Painting(), LayoutSet())
        for changed in ({"seed": 1}, {"guidance": 2.0})
    ]
    assert len({base.cache.place("pictures", one) for one in others}) == len(others)
    real = base.settings(Painting("real"), LayoutSet())
    assert real == studio(judges, tmp_path, seed=1).settings(Painting("real"), LayoutSet())


def test_the_real_drawings_of_another_world_are_drawn_again(
    tmp_path: Path, judges: ThreadPoolExecutor
) -> None:
    made = studio(judges, tmp_path)
    of_drawings = made.scores(Painting("real"), LayoutSet(), "")
    here = frechet(made, of_drawings, LayoutSet())
    made.world = replace(made.world, seed=1)
    assert frechet(made, of_drawings, LayoutSet()) != here


@pytest.mark.slow
def test_a_condition_that_two_studies_share_is_painted_once(
    tmp_path: Path, judges: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    shared = replace(cost.STUDY, conditions=cost.STUDY.conditions[4:5], comparisons=[], extra=None)
    assert shared.conditions[0].key == cost.USUAL
    run_study(replace(STUDY, conditions=STUDY.conditions[:1], comparisons=[]), studio(judges, tmp_path))
    before = counting.painted
    run_study(shared, studio(judges, tmp_path))
    assert counting.painted == before


def test_steps_are_timed_only_if_asked_for(
    tmp_path: Path, judges: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure_steps(studio(judges, tmp_path), {}) == {}
    monkeypatch.setattr("shapes.evidence.numbers.step_time.INSTANCES", (1, 2))
    monkeypatch.setattr("shapes.evidence.numbers.step_time.WARMUP", 0)
    timed = studio(judges, tmp_path, timing=True)
    before = list(timed.painter(Painting().models).base.unet.attn_processors.values())
    found = measure_steps(timed, {}, repeats=1)
    assert [one["instances"] for one in found["steps"]] == [1, 2]
    assert all(one["plain_ms"] > 0 and one["adapted_ms"] > 0 for one in found["steps"])
    assert 0 < found["weight_share"] < 1
    assert list(timed.painter(Painting().models).base.unet.attn_processors.values()) == before
