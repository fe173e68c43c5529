"""Calibration: does the protocol rank methods like the exact verifier?"""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from scenes import WORLD, ScriptedDetector, ScriptedVerifier, layout, write_drawings

from evaluation.__main__ import main
from evaluation.benchmark import write_benchmark
from evaluation.build.builder import build_drawn
from evaluation.commands.calibrate import table
from evaluation.judge.drawn_world import ShapesDetector, ShapesVerifier
from evaluation.judge.scorer import Scorer
from evaluation.pictures import picture_path
from evaluation.report.calibration import Calibration, calibrate
from ifadapter_diffusers.painter import METHODS, Painter
from shapes.models.config import load_shapes_config

ROOT = Path(__file__).resolve().parents[3]
COUNT = 16


@pytest.mark.slow
def test_both_rank_more_altered_drawings_lower(tmp_path: Path) -> None:
    benchmark = build_drawn(tmp_path / "shapes", WORLD, COUNT)
    methods = {f"{part:.0%}": write_drawings(tmp_path / f"{part}", COUNT, part) for part in (0.3, 0.0, 0.6)}
    found = calibrate(Scorer(ShapesDetector(), [ShapesVerifier()]), benchmark, methods)
    assert found.exact["0%"] > found.exact["30%"] > found.exact["60%"]
    assert found.protocol["0%"] > found.protocol["30%"] > found.protocol["60%"]
    assert found.agrees
    assert found.protocol == pytest.approx(found.exact, abs=0.1)


def test_a_detector_that_finds_nothing_does_not_agree(tmp_path: Path) -> None:
    benchmark = build_drawn(tmp_path / "shapes", WORLD, 4)
    methods = {f"{part:.0%}": write_drawings(tmp_path / f"{part}", 4, part) for part in (0.0, 1.0)}
    assert not calibrate(Scorer(ScriptedDetector(), [ScriptedVerifier()]), benchmark, methods).agrees


def test_the_command_prints_both_successes_and_the_verdict(
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


def test_disagreeing_pairs_are_listed() -> None:
    text = table(Calibration({"a": 0.3, "b": 0.31, "c": 0.2}, {"a": 0.5, "b": 0.4, "c": 0.1}))
    assert text.splitlines()[2:] == [
        "| a | 30.0 | 50.0 |",
        "| b | 31.0 | 40.0 |",
        "| c | 20.0 | 10.0 |",
        "",
        "The two rank these pairs differently: a and b.",
    ]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("drawings", "missing"), "2 of 2 pictures are missing in"),
        (("drawings", "partly"), "1 of 2 pictures are missing in"),
        (("drawings", "shapes/drawings"), "expected different names"),
    ],
)
def test_wrong_folders_are_refused_before_judging(
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


def test_a_benchmark_of_another_world_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_benchmark(tmp_path / "cats", {"cat": layout(((0, 0, 50, 50), "a grey cat"))}, {})
    assert main(["calibrate", str(tmp_path / "cats"), str(tmp_path)]) == 2
    assert (
        "'a grey cat' is not a figure of the drawn world. "
        "Use a benchmark built with `python -m evaluation build" in capsys.readouterr().err
    )


def test_agreement_needs_every_strict_ranking() -> None:
    exact = {"a": 0.9, "b": 0.5, "c": 0.5}
    assert Calibration({"a": 0.6, "b": 0.3, "c": 0.2}, exact).agrees
    assert not Calibration({"a": 0.3, "b": 0.3, "c": 0.2}, exact).agrees


@pytest.mark.slow
def test_both_rank_the_small_models_alike(tmp_path: Path) -> None:
    """Methods: the adapter, its EoT token, the caption. So few layouts do not tell the last two apart."""
    benchmark = build_drawn(tmp_path / "shapes", load_shapes_config().shapes.world, 6)
    painter = Painter(ROOT / "demo", steps=12)
    methods = {}
    for method in ("full", "eot", "caption"):
        methods[method] = tmp_path / method
        methods[method].mkdir()
        for entry, pixels in zip(
            benchmark.entries,
            painter.paint(METHODS[method], [entry.layout for entry in benchmark.entries]),
            strict=True,
        ):
            Image.fromarray(pixels).save(picture_path(methods[method], entry.name))
    found = calibrate(Scorer(ShapesDetector(), [ShapesVerifier()]), benchmark, methods)
    assert found.exact["full"] > 0.5 > found.exact["eot"] >= found.exact["caption"]
    assert found.protocol["full"] > 0.5 > found.protocol["eot"] >= found.protocol["caption"]
    assert set(found.disagreements) <= {("eot", "caption")}
