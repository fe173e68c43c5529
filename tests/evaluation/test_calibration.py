"""The protocol ranks as the exact verifier does."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from scenes import WORLD, Answers, Told, write_drawings

from evaluation.builder import build_drawn
from evaluation.calibration import Calibration, calibrate
from evaluation.drawn_world import ShapesDetector, ShapesVerifier
from evaluation.scorer import Scorer, picture_path
from training.config import load_config
from training.painter import Painter

ROOT = Path(__file__).resolve().parents[2]
COUNT = 16


def test_drawings_of_which_more_is_altered_rank_lower_by_both(tmp_path: Path) -> None:
    benchmark = build_drawn(tmp_path / "shapes", WORLD, COUNT)
    methods = {f"{part:.0%}": write_drawings(tmp_path / f"{part}", COUNT, part) for part in (0.3, 0.0, 0.6)}
    found = calibrate(Scorer(ShapesDetector(), [ShapesVerifier()]), benchmark, methods)
    assert found.exact["0%"] > found.exact["30%"] > found.exact["60%"]
    assert found.protocol["0%"] > found.protocol["30%"] > found.protocol["60%"] and found.agrees
    assert found.protocol == pytest.approx(found.exact, abs=0.1)


def test_a_detector_that_sees_nothing_does_not_agree(tmp_path: Path) -> None:
    benchmark = build_drawn(tmp_path / "shapes", WORLD, 4)
    methods = {f"{part:.0%}": write_drawings(tmp_path / f"{part}", 4, part) for part in (0.0, 1.0)}
    assert not calibrate(Scorer(Told(), [Answers()]), benchmark, methods).agrees


def test_agreement_is_about_every_pair_that_differs() -> None:
    exact = {"a": 0.9, "b": 0.5, "c": 0.5}
    assert Calibration({"a": 0.6, "b": 0.3, "c": 0.2}, exact).agrees
    assert not Calibration({"a": 0.3, "b": 0.3, "c": 0.2}, exact).agrees


def test_it_ranks_the_small_models_as_the_exact_verifier_does(tmp_path: Path) -> None:
    """The adapter, its EoT token only, and the caption only."""
    shapes = load_config("shapes").shapes
    assert shapes is not None
    benchmark = build_drawn(tmp_path / "shapes", shapes.world, 6)
    painter = Painter(ROOT / "demo", steps=12)
    methods = {}
    for method in ("full", "eot", "caption"):
        methods[method] = tmp_path / method
        methods[method].mkdir()
        for entry, pixels in zip(benchmark.entries, painter.paint(method, [entry.layout for entry in benchmark.entries]), strict=True):
            Image.fromarray(pixels).save(picture_path(methods[method], entry))
    found = calibrate(Scorer(ShapesDetector(), [ShapesVerifier()]), benchmark, methods)
    assert found.exact["full"] > found.exact["eot"] >= found.exact["caption"]
    assert found.protocol["full"] > found.protocol["eot"] >= found.protocol["caption"] and found.agrees
