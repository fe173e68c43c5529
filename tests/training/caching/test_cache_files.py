"""Caches are checked, complete and whole: whatever was killed, damaged or changed."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from cached_runs import config_file, losses, make_cache, settings, write_pictures
from own_runs import train
from safetensors.torch import load_file

import training.cache.parts
from ifadapter_diffusers.base_model import BaseModel
from tiny_models import sdxl
from training.cache import latents, texts

pytestmark = pytest.mark.usefixtures("fresh_accelerate")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, words: Path) -> Path:
    """A folder with a base model, pictures, a config, and their cache in small files."""
    folder = tmp_path_factory.mktemp("made")
    sdxl(words).save_pretrained(folder / "base")
    pictures = write_pictures(folder / "pictures", 8)
    config = config_file(folder, folder / "base", pictures, loop={"steps": 1, "trackers": []})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "PER_PART", 3)
        patch.setattr(texts, "PER_PART", 3)
        make_cache(config, *settings(folder / "cache"))
    AcceleratorState._reset_state(reset_partial_state=True)
    return folder


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "PER_PART", 3)
    monkeypatch.setattr(texts, "PER_PART", 3)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """Of the cache."""
    return Path(shutil.copytree(made / "cache", tmp_path / "cache"))


def contents(cache: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {str(path.relative_to(cache)): load_file(path) for path in sorted(cache.rglob("*.safetensors"))}


def assert_same(cache: Path, other: Path) -> None:
    ours, theirs = contents(cache), contents(other)
    assert ours.keys() == theirs.keys()
    for name, tensors in ours.items():
        assert tensors.keys() == theirs[name].keys()
        for key, tensor in tensors.items():
            assert torch.equal(tensor, theirs[name][key])


def message(capsys: pytest.CaptureFixture[str], action: Callable[..., Any], *given: Any) -> str:
    """The one line with which a command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        action(*given)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


OTHERS = {
    "adapter.loop.seed=1": "adapter.loop.seed 0, now 1",
    "folder.size=128": "folder.size 64, now 128",
    "folder.crops=1": "folder.crops 2, now 1",
    "folder.aspect=square": "folder.aspect buckets, now square",
    "folder.held_out=null": "pictures 6 with the hash",
    "adapter.batch_size=1": "the pictures' canvases (of rare shapes they depend on adapter.batch_size)",
    "adapter.loop.mixed_precision=bf16": "adapter.loop.mixed_precision no, now bf16",
}


@pytest.mark.parametrize("change", OTHERS)
def test_a_cache_of_other_settings_is_refused(
    made: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the training, and by the command, which never mixes two caches."""
    for action in (train, make_cache):
        line = message(capsys, action, made / "own.yaml", *settings(made / "cache", change))
        assert f"The cache in {made / 'cache'}" in line
        assert OTHERS[change] in line
        assert "choose another cache.path, and run `python -m training cache`" in line


@pytest.mark.parametrize("part", ["vae", "text_encoder_2"])
def test_a_cache_of_other_weights_is_refused(
    made: Path, tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline_folder = shutil.copytree(made / "base", tmp_path / "base")
    (weights,) = (pipeline_folder / part).glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # one bit of one weight
    weights.write_bytes(content)
    line = message(capsys, train, made / "own.yaml", *settings(made / "cache", f"base={pipeline_folder}"))
    assert ("the autoencoder" if part == "vae" else "the text encoders") in line


def test_other_settings_may_change(made: Path, tmp_path: Path) -> None:
    given = settings(made / "cache", f"output={tmp_path}", "adapter.loop.learning_rate=1e-5")
    train(made / "own.yaml", *given, "adapter.loss.noises=2")
    assert (tmp_path / "adapter" / "weights" / "ifadapter.safetensors").exists()


def test_no_cache_and_an_incomplete_one_name_the_command(
    made: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = message(capsys, train, made / "own.yaml", *settings(copy / "nowhere"))
    assert "There is no cache in" in line
    assert "Run `python -m training cache` with this config" in line
    (copy / "latents" / "000002.safetensors").unlink()
    line = message(capsys, train, made / "own.yaml", *settings(copy))
    assert "lacks 1 of 4 files. Run `python -m training cache`" in line
    make_cache(made / "own.yaml", *settings(copy))
    assert_same(copy, made / "cache")


@pytest.mark.parametrize("damage", ["cut", "other"])
@pytest.mark.parametrize("folder", [latents.FOLDER, texts.FOLDER])
def test_a_damaged_file_is_named(
    made: Path, copy: Path, tmp_path: Path, damage: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no bad picture, which would be skipped."""
    for path in (copy / folder).glob("*.safetensors"):
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-10])
        else:
            training.cache.parts.save_file(load_file(path), path, {"content": "another"})
    line = message(capsys, train, made / "own.yaml", *settings(copy, f"output={tmp_path / 'run'}"))
    assert f"{copy / folder}/0" in line
    assert ("is damaged" if damage == "cut" else "is of another cache") in line
    assert "Remove it, and run `python -m training cache` again" in line


def test_a_damaged_content_file_is_named(made: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "latents" / "content.json").write_text("{}")
    line = message(capsys, train, made / "own.yaml", *settings(copy))
    assert "content.json cannot be read" in line


def test_settings_that_do_not_go_together(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = f"cache.path={made / 'cache'}"
    assert "Set folder.crops" in message(capsys, train, made / "own.yaml", cache)
    both = ("cache.latents=false", "cache.text=false")
    assert "nothing is cached" in message(capsys, train, made / "own.yaml", cache, *both)
    assert "Give cache.path" in message(capsys, make_cache, made / "own.yaml")
    for change, expected in (
        ("folder.size=100", "size is 100; expected a multiple of 64"),
        ("adapter.loop.mixed_precision=fp16", "fp16, which needs a GPU"),
    ):
        line = message(capsys, make_cache, made / "own.yaml", *settings(made / "cache", change))
        assert expected in line


def test_captions_of_random_crops_cannot_be_cached(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 4, captions=False)
    given = (f"folder.path={pictures}", f"cache.path={tmp_path / 'cache'}", "cache.latents=false")
    line = message(capsys, make_cache, made / "own.yaml", *given, "folder.aspect=buckets")
    assert "layouts without a caption" in line
    assert "Set folder.crops" in line
    make_cache(made / "own.yaml", *given)  # squares train them with empty captions


MOMENTS = (  # what the command calls
    (BaseModel, "encode"),
    (BaseModel, "encode_captions"),
    (training.cache.parts, "save_file"),
    (os, "fsync"),
    (Path, "replace"),
)


def killed(config: Path, cache: Path, call: int) -> None:
    """Make a cache in this process, which ends at the given call of any of MOMENTS, before or after it."""
    calls = 0

    def counted(action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*given: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            done = action(*given, **named) if calls == call and call % 2 else None
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return done or action(*given, **named)

        return act

    for owner, name in MOMENTS:
        setattr(owner, name, counted(getattr(owner, name)))
    make_cache(config, *settings(cache))


@pytest.mark.slow
def test_a_command_killed_at_any_moment_goes_on(made: Path, tmp_path: Path) -> None:
    moments = random.Random(0)
    context = multiprocessing.get_context("fork")
    written = 0
    for number in range(8):
        process = context.Process(
            target=killed, args=(made / "own.yaml", tmp_path / "cache", moments.randint(2, 9))
        )
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, number
        before, written = written, len(contents(tmp_path / "cache"))  # whole files only
        assert written >= before
    assert written
    make_cache(made / "own.yaml", *settings(tmp_path / "cache"))
    assert_same(tmp_path / "cache", made / "cache")
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_two_processes_make_the_same_cache(made: Path, tmp_path: Path) -> None:
    """And a training in two processes reads it."""
    script = tmp_path / "small.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}]\n"
        "from training.cache import latents, texts\n"
        "latents.PER_PART = texts.PER_PART = 3\n"
        "from training.__main__ import main\n"
        "main()\n"
    )
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    given = ["--config", str(made / "own.yaml"), *settings(tmp_path / "cache")]

    def launched(*command: str) -> str:
        done = subprocess.run(
            [*launch, "--main_process_port", "0", str(script), *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    lines = launched("cache", *given).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["Latents", "Texts"]  # of one process only
    assert_same(tmp_path / "cache", made / "cache")
    launched("adapter", *given, f"output={tmp_path / 'run'}", "adapter.loop.log_every=1")
    assert len(losses(tmp_path / "run" / "adapter")) == 1
