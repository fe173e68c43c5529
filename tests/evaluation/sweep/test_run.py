"""A whole sweep: from a sweep file to pictures, scores, a table and plots, with a tiny model."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from red_green_scorer import CountingRedGreen
from scenes import WORLD
from tiny_clip import save_clip

from evaluation.__main__ import main
from evaluation.build.builder import build_drawn
from evaluation.commands.sweep_file import read_sweep
from evaluation.judge.clip_score import ClipScore
from evaluation.judge.drawn_world import ShapesDetector
from evaluation.judge.fid import frechet_inception_distance
from evaluation.report import score_folder
from evaluation.sweep.run import run_sweep


def test_each_point_is_generated_scored_and_reported(config: Path, tmp_path: Path) -> None:
    rows = run_sweep(read_sweep(config), tmp_path / "out")
    assert [row.point.name for row in rows] == [
        "IFAdapter",
        "EoT token only",
        "IFAdapter, strength 0",
        "IFAdapter, strength 1.5",
        "IFAdapter, instances 1",
        "IFAdapter, instances 2",
        "IFAdapter, instances 3 and more",
        "EoT token only, instances 1",
        "EoT token only, instances 2",
        "EoT token only, instances 3 and more",
    ]
    assert (
        [row.layouts for row in rows]
        == [4, 4, 4, 4, 1, 2, 1, 1, 2, 1]
        == [row.scores["layouts seen"] for row in rows]
    )
    assert len({row.scores["brightness"] for row in rows}) == len(rows)
    assert sum(row.scores["brightness"] * row.layouts for row in rows[4:7]) / 4 == pytest.approx(
        rows[0].scores["brightness"]
    )
    folders = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    # Parts share the pictures of their variant.
    assert folders == [
        "eot_token_only",
        "ifadapter",
        "ifadapter_strength_0",
        "ifadapter_strength_1.5",
    ]
    mean = rows[1].scores["brightness"]
    lines = (tmp_path / "out" / "sweep.md").read_text().splitlines()
    assert lines[0] == "|  | layouts | brightness | layouts seen |"
    assert len(lines) == 2 + len(rows)
    assert lines[3] == f"| EoT token only | 4 | {mean:.3f} ({mean - 1:.3f} .. {mean + 2:.3f}) | 4 |"
    records = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert records[3]["value"] == 1.5
    assert records[3]["axis"] == "strength"
    assert records[3]["options"][-2:] == ["--strength", "1.5"]
    for name in ("variants.png", "strength.png", "instances.png"):
        assert np.asarray(Image.open(tmp_path / "out" / name).convert("L")).std() > 5


def test_a_second_run_generates_nothing(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_sweep(read_sweep(config), tmp_path / "out")
    monkeypatch.setattr("ifadapter_diffusers.painter.Painter", None)
    assert run_sweep(read_sweep(config), tmp_path / "out") == first


def test_points_with_equal_settings_share_their_pictures(config: Path, tmp_path: Path) -> None:
    """Here a value of an axis is the default."""
    config.write_text(config.read_text().replace("[0, 1.5]", "[0, 1]"))
    rows = run_sweep(read_sweep(config), tmp_path / "out")
    assert rows[3].point.name == "IFAdapter, strength 1"
    assert rows[3].scores == rows[0].scores
    folders = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert folders == ["eot_token_only", "ifadapter", "ifadapter_strength_0"]


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        (
            "--method eot",
            "--methd eot",
            r"EoT token only: generate: unrecognized arguments: --methd",
        ),
        (
            "--method eot",
            "--method eots",
            r"EoT token only: generate: --method is 'eots'; expected one of",
        ),
        ("--method eot", "--layers all", r"--layers is 'all'; expected comma-separated integers"),
        ("[1, 2, 3]", "[1, 2, 7]", r"No layout of the benchmark has instances in 7 and more"),
        ("--factor 2", "--fctor 2", r"score: unrecognized arguments: --fctor"),
        ("--factor 2", "--factor 3", r"--factor is 3; expected 2"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_generated(
    config: Path, tmp_path: Path, find: str, put: str, message: str
) -> None:
    config.write_text(config.read_text().replace(find, put))
    with pytest.raises(ValueError, match=message):
        run_sweep(read_sweep(config), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        ("row.mean", "row.median", r"The scores have no row\.median: row has mean, count, interval"),
        (
            "row.mean",
            "row.interval",
            r"column brightness is \[0\.0, 0\.0\] in .*; expected a number",
        ),
        ("interval: row.interval", "interval: row.range", r"The scores have no row\.range: row has"),
        (
            "interval: row.interval",
            "interval: row.mean",
            r"row\.mean is 0\.0 in .*; expected \[low, high\]",
        ),
    ],
)
def test_a_wrong_column_is_named_before_anything_is_generated(
    config: Path, tmp_path: Path, find: str, put: str, message: str
) -> None:
    config.write_text(config.read_text().replace(find, put))
    with pytest.raises(ValueError, match=message):
        run_sweep(read_sweep(config), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sweep_in_the_drawn_world(
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the real scorer, which judges each picture once. Random weights draw no figures."""
    looked: list[object] = []
    detect = ShapesDetector.detect
    monkeypatch.setattr(
        ShapesDetector, "detect", lambda self, *given: looked.append(given) or detect(self, *given)
    )
    build_drawn(tmp_path / "shapes", WORLD, 2)
    config = tmp_path / "sweep.yaml"
    config.write_text(
        f"benchmark: {tmp_path / 'shapes'}\ngenerate: --models {models} --steps 1\n"
        "score: --detector shapes --verifier shapes\n"
        "columns: {success: success, AP: ap.value}\ninterval: interval\n"
        "variants:\n  IFAdapter:\n  EoT token only: --method eot\n"
        "axes:\n  instances: {select: instances, values: [1]}\n"
    )
    assert main(["sweep", str(config), str(tmp_path / "out")]) == 0
    assert (
        "| EoT token only | 2 | 0.000 (0.000 .. 0.000) | 0.000 |"
        in (tmp_path / "out" / "sweep.md").read_text()
    )
    assert len(looked) == 4
    assert (
        "| IFAdapter, instances 1 and more | 2 | 0.000 (0.000 .. 0.000) | 0.000 |"
        in (tmp_path / "out" / "sweep.md").read_text()
    )
    assert capsys.readouterr().out == (tmp_path / "out" / "sweep.md").read_text()
    assert (tmp_path / "out" / "variants.png").exists()
    assert (tmp_path / "out" / "scores" / "ifadapter" / "instances.csv").exists()


def test_clip_and_fid_features_are_computed_once_for_each_picture(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for the parts of the benchmark, and for a value of an axis that is the default."""
    scored: list[object] = []
    extractor = CountingRedGreen()
    score = ClipScore.score
    monkeypatch.setattr(ClipScore, "score", lambda self, *given: scored.append(given) or score(self, *given))
    monkeypatch.setattr(
        "evaluation.report.score_folder.frechet_inception_distance",
        partial(frechet_inception_distance, extractor=extractor),
    )
    monkeypatch.setitem(score_folder.PACKAGES, "fid", [])  # Inception's weights are not used
    build_drawn(tmp_path / "shapes", WORLD, 3)
    config = tmp_path / "sweep.yaml"
    config.write_text(
        f"benchmark: {tmp_path / 'shapes'}\ngenerate: --models {models} --steps 1\n"
        f"score: --detector shapes --verifier shapes --clip {save_clip(tmp_path / 'clip')} "
        f"--real {tmp_path / 'shapes' / 'real'}\n"
        "columns: {success: success, CLIP: clip.value, FID: fid.value}\n"
        "variants:\n  IFAdapter:\n  EoT token only: --method eot\n"
        'axes:\n  strength: {options: "--strength {value}", values: [1]}\n'
        "  overlap: {select: overlap, values: [0], variants: [IFAdapter, EoT token only]}\n"
    )
    variant, _, same, part, _ = run_sweep(read_sweep(config), tmp_path / "out")
    assert variant.scores == same.scores == part.scores
    assert variant.scores["FID"] > 0
    assert len(scored) == 2 * 3
    assert extractor.pictures == 2 * 3 + 3  # the real ones too
