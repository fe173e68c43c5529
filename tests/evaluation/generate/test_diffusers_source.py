"""Diffusers as the source of pictures, with a tiny model of random weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny_models
from evaluation.__main__ import main
from evaluation.benchmark import write_benchmark
from evaluation.generate.generator import GENERATION, seed_of
from ifadapter_diffusers.painter import METHODS, Painter

ROOT = Path(__file__).resolve().parents[3]
COUNT = 4


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    write_benchmark(folder, {f"p{number}": tiny_models.layout(number) for number in range(COUNT)}, {})
    return folder


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_each_layout_is_painted_by_itself(models: Path, benchmark: Path, tmp_path: Path) -> None:
    command = [
        "generate",
        str(benchmark),
        str(tmp_path),
        "--models",
        str(models),
        "--steps",
        "2",
        "--guidance",
        "3",
        "--seed",
        "5",
    ]
    assert main(command) == 0
    painter = Painter(models, steps=2, guidance=3.0)
    for number in range(COUNT):
        expected = painter.paint(
            METHODS["full"], [tiny_models.layout(number)], first=seed_of(5, f"p{number}")
        )[0]
        # The benchmark rounds boxes to 1/1000 pixel.
        assert np.abs(pixels(tmp_path / f"p{number}.png") - expected).max() <= 1
    settings = json.loads((tmp_path / GENERATION).read_text())
    assert settings["method"] == "full"
    assert settings["steps"] == 2
    assert settings["strength"] == 1.0


@pytest.mark.slow
def test_options_reach_the_painter(models: Path, benchmark: Path, tmp_path: Path) -> None:
    def paint(name: str, *options: str) -> np.ndarray:
        command = [
            "generate",
            str(benchmark),
            str(tmp_path / name),
            "--models",
            str(models),
            "--steps",
            "3",
            "--guidance",
            "2",
        ]
        assert main([*command, *options]) == 0
        return np.stack([pixels(tmp_path / name / f"p{number}.png") for number in range(COUNT)])

    full, caption = paint("full"), paint("caption", "--method", "caption")
    assert np.abs(paint("off", "--strength", "0") - caption).max() <= 1
    assert (
        paint("full again", "--adapter", str(models / "ifadapter.safetensors"), "--end", "1") == full
    ).all()
    number = str(Painter(models).adapter.config.layers[0].processor)
    others = [
        ("--method", "eot"),
        ("--method", "appearance"),
        ("--method", "regional"),
        ("--end", "0.4"),
        ("--layers", number),
    ]
    for options in [
        *others,
        ("--front-hides-back",),
        ("--seed", "1"),
        ("--steps", "2"),
        ("--guidance", "1"),
    ]:
        assert (paint(" ".join(options), *options) != full).any(), options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--layers", "a,b"), "--layers is 'a,b'; expected comma-separated integers"),
        (("--layers", "99"), "layers asked for are [99]; expected some of"),
    ],
)
def test_wrong_layers_are_refused(
    models: Path,
    benchmark: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["generate", str(benchmark), str(tmp_path), "--models", str(models), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_generator_resumes_to_the_same_files(models: Path, benchmark: Path, tmp_path: Path) -> None:
    def command(folder: str) -> list[str]:
        given = [str(benchmark), str(tmp_path / folder), "--models", str(models), "--steps", "10"]
        return [sys.executable, "-m", "evaluation", "generate", *given]

    process = subprocess.Popen(command("killed"), cwd=ROOT, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "killed").glob("*.png")):
        try:
            assert process.wait(timeout=0.02) is None, "it ended before it was killed"
        except subprocess.TimeoutExpired:  # noqa: PERF203  (the time-out is the poll)
            continue
    process.kill()
    process.wait()
    kept = len(list((tmp_path / "killed").glob("*.png")))
    assert 0 < kept < COUNT
    assert main(command("killed")[3:]) == 0
    assert main(command("whole")[3:]) == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert {name: (tmp_path / "killed" / name).read_bytes() for name in whole} == whole
