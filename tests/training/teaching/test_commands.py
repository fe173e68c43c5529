"""Commands as a user runs them: what they print, and where the demo's models go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import own_runs
import pytest
from PIL import Image

from tiny_models import sdxl

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    for name in ("DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY"):
        environment.pop(name, None)
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done


def test_a_training_prints_its_own_lines_only(tmp_path: Path, words: Path) -> None:
    sdxl(words).save_pretrained(tmp_path / "base")
    pictures = own_runs.draw(tmp_path / "pictures", 4)
    config = own_runs.write_config(tmp_path / "own.yaml", tmp_path / "base", pictures)
    done = run("training", "adapter", "--config", str(config), "adapter.loop.steps=2", "adapter.samples=1")
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("adapter  step 0  held-out loss ")
    assert all(line.startswith("adapter  step ") for line in lines)

    done = run("training", "adapter", "--check", "--config", str(config))
    assert (done.stdout, done.stderr) == ("4 of 4 pictures can be used.\n", "")


def test_the_models_of_a_run_are_exported_beside_it_and_shown_by_the_demo(tmp_path: Path) -> None:
    """The demo's own models, placed as a run leaves them."""
    stages = tmp_path / "shapes"
    for name, place in (
        ("vae", "vae/weights"),
        ("unet", "unet/weights/unet"),
        ("text_encoder", "unet/weights/text_encoder"),
        ("scheduler", "unet/weights/scheduler"),
        ("tokenizer", "tokenizer"),
    ):
        shutil.copytree(ROOT / "demo" / name, stages / place)
    (stages / "adapter" / "weights").mkdir(parents=True)
    shutil.copy(ROOT / "demo" / "ifadapter.safetensors", stages / "adapter" / "weights")
    before = (ROOT / "demo" / "ifadapter.safetensors").stat().st_mtime_ns

    done = run("training", "export", f"output={stages}")
    assert (done.stdout, done.stderr) == (f"{stages / 'models'}: 14.7 MB of weights\n", "")
    assert (ROOT / "demo" / "ifadapter.safetensors").stat().st_mtime_ns == before

    layout = str(ROOT / "demo" / "layouts" / "1_pair.json")
    given = ("--models", str(stages / "models"), "--layout", layout, "--steps", "1")
    done = run("demo", *given, "--output", str(tmp_path / "out"))
    assert Image.open(tmp_path / "out" / "full_0.png").size == (128, 128)
    assert all(line.startswith("sampling: ") for line in done.stderr.replace("\r", "\n").split("\n") if line)


def test_a_folder_without_models_is_named(tmp_path: Path) -> None:
    done = run("demo", "--models", str(tmp_path), status=2)
    assert done.stderr == (
        f"There is no {tmp_path / 'unet/config.json'}. "
        "Give --models a folder that python -m training export has written.\n"
    )
