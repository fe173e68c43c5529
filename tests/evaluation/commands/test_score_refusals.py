"""The command ``score``: wrong inputs are refused with a message, before anything is judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scenes import layout
from score_runs import COUNT, SHAPES, command

from evaluation.__main__ import main
from evaluation.benchmark import write_benchmark
from evaluation.report import score_folder


def test_scores_of_other_settings_are_refused(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scoring.json").write_text(
        json.dumps({"benchmark": "another", "detector": "shapes", "verifiers": ["shapes"]})
    )
    assert main(command(shapes, tmp_path)) == 2
    assert "holds scores made with other settings: benchmark was 'another'" in capsys.readouterr().err


def test_missing_pictures_are_an_error(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(shapes), str(tmp_path), str(tmp_path / "out"), *SHAPES]) == 2
    error = capsys.readouterr().err
    assert (
        f"{COUNT} of {COUNT} pictures are missing in {tmp_path}: 00000.png, 00001.png, 00002.png .." in error
    )
    assert not (tmp_path / "out").exists()


def test_a_folder_without_real_pictures_is_refused_before_judging(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(shapes, tmp_path / "out"), "--real", str(tmp_path)]) == 2
    assert "has 0 pictures" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threshold", "0.3"), "--threshold cannot be used"),
        (("--verifier", "model@somewhere"), "expected a URL after the @, for example model@http"),
        (("--verifier", "no/such/model"), "transformers cannot load the model no/such/model"),
        (("--clip", "no/such/clip"), "transformers cannot load the model no/such/clip"),
        (("--real", "no/such/folder"), "no/such/folder has 0 pictures"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_wrong_options_are_refused_before_pictures_are_read(
    shapes: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*command(shapes, tmp_path / "out", "none"), *options]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_detector_is_refused(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "score",
                str(shapes),
                str(shapes / "none"),
                str(tmp_path),
                "--detector",
                str(tmp_path),
                "--verifier",
                "shapes",
            ]
        )
        == 2
    )
    assert f"transformers cannot load the model {tmp_path}" in capsys.readouterr().err


def test_missing_packages_are_named(
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(score_folder.PACKAGES, "fid", ["no_such_package"])
    assert main([*command(shapes, tmp_path), "--real", str(shapes / "real")]) == 2
    assert (
        "Not installed: no_such_package. Install the requirements: pip install -r" in capsys.readouterr().err
    )
    assert main(command(shapes, tmp_path)) == 0  # without the FID, the package is not needed


def test_a_benchmark_of_another_world_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_benchmark(tmp_path / "cats", {"cat": layout(((0, 0, 50, 50), "a grey cat"))}, {})
    assert main(command(tmp_path / "cats", tmp_path / "out", "none")) == 2
    assert (
        "'a grey cat' is not a figure of the drawn world. Use a benchmark built with"
        in capsys.readouterr().err
    )
