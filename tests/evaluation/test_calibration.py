"""The protocol ranks as the exact verifier does."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from scenes import WORLD, Answers, Told, layout, write_drawings

from evaluation.__main__ import main
from evaluation.benchmark import write_benchmark
from evaluation.build.builder import build_drawn
from evaluation.commands.calibrate import table
from evaluation.judge.calibration import Calibration, calibrate
from evaluation.judge.drawn_world import ShapesDetector, ShapesVerifier
from evaluation.judge.scorer import Scorer, picture_path
from ifadapter_diffusers.painter import Painter
from training.config import load_config

ROOT = Path(__file__).resolve().parents[2]
COUNT = 16


def test_drawings_of_which_more_is_altered_rank_lower_by_both(tmp_path: Path) -> None:
    benchmark = build_drawn(tmp_path / "shapes", WORLD, COUNT)
    methods = {f"{part:.0%}": write_drawings(tmp_path / f"{part}", COUNT, part) for part in (0.3, 0.0, 0.6)}
    found = calibrate(Scorer(ShapesDetector(), [ShapesVerifier()]), benchmark, methods)
    assert found.exact["0%"] > found.exact["30%"] > found.exact["60%"]
    assert found.protocol["0%"] > found.protocol["30%"] > found.protocol["60%"]
    assert found.agrees
    assert found.protocol == pytest.approx(found.exact, abs=0.1)


def test_a_detector_that_sees_nothing_does_not_agree(tmp_path: Path) -> None:
    benchmark = build_drawn(tmp_path / "shapes", WORLD, 4)
    methods = {f"{part:.0%}": write_drawings(tmp_path / f"{part}", 4, part) for part in (0.0, 1.0)}
    assert not calibrate(Scorer(Told(), [Answers()]), benchmark, methods).agrees


def test_the_command_tells_the_success_by_both_and_who_is_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = build_drawn(tmp_path / "shapes", WORLD, 8)
    write_drawings(tmp_path / "half", 8, 0.5)
    write_drawings(tmp_path / "none", 8, 1.0)
    assert (
        main(
            [
                "calibrate",
                str(tmp_path / "shapes"),
                *(str(tmp_path / name) for name in ("half", "shapes/real", "none")),
            ]
        )
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "|  | protocol | exact verifier |"
    assert lines[-1] == "The two rank all folders alike."
    count = sum(len(entry.layout.instances) for entry in benchmark.entries)
    rows = {
        name: (float(protocol), float(exact))
        for name, protocol, exact in (line.strip("| ").split(" | ") for line in lines[2:5])
    }
    assert list(rows) == ["half", "real", "none"]
    assert rows["none"] == (0, 0)
    assert rows["real"][1] == 100 > rows["half"][1] > 0
    assert rows["half"][1] * count / 100 == pytest.approx(round(rows["half"][1] * count / 100), abs=0.01)


def test_pairs_that_are_ranked_otherwise_are_named() -> None:
    text = table(Calibration({"a": 0.3, "b": 0.31, "c": 0.2}, {"a": 0.5, "b": 0.4, "c": 0.1}))
    assert text.splitlines()[2:] == [
        "| a | 30.0 | 50.0 |",
        "| b | 31.0 | 40.0 |",
        "| c | 20.0 | 10.0 |",
        "",
        "The two rank these otherwise: a and b.",
    ]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("drawings", "missing"), "2 of 2 pictures are not in"),
        (("drawings", "partly"), "1 of 2 pictures are not in"),
        (("drawings", "shapes/drawings"), "expected each to have another name"),
    ],
)
def test_wrong_folders_are_told_before_any_is_judged(
    tmp_path: Path,
    folders: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build_drawn(tmp_path / "shapes", WORLD, 2)
    write_drawings(tmp_path / "drawings", 2, 0)
    write_drawings(tmp_path / "partly", 1, 0)
    monkeypatch.setattr("evaluation.commands.calibrate.calibrate", None)
    assert main(["calibrate", str(tmp_path / "shapes"), *(str(tmp_path / folder) for folder in folders)]) == 2
    assert message in capsys.readouterr().err


def test_a_benchmark_of_another_world_cannot_calibrate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_benchmark(tmp_path / "cats", {"cat": layout(((0, 0, 50, 50), "a grey cat"))}, {})
    assert main(["calibrate", str(tmp_path / "cats"), str(tmp_path)]) == 2
    assert (
        "'a grey cat' names no figure of the drawn world. Take a benchmark of `python -m evaluation build"
        in capsys.readouterr().err
    )


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
        for entry, pixels in zip(
            benchmark.entries,
            painter.paint(method, [entry.layout for entry in benchmark.entries]),
            strict=True,
        ):
            Image.fromarray(pixels).save(picture_path(methods[method], entry))
    found = calibrate(Scorer(ShapesDetector(), [ShapesVerifier()]), benchmark, methods)
    assert found.exact["full"] > found.exact["eot"] >= found.exact["caption"]
    assert found.protocol["full"] > found.protocol["eot"] >= found.protocol["caption"]
    assert found.agrees
