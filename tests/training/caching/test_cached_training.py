"""A training with caches is the same as one without, and needs neither autoencoder nor text encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cached_runs import config_file, losses, make_cache, settings, write_pictures
from own_runs import train
from safetensors.torch import load_file

from ifadapter_diffusers.base_model import BaseModel
from tiny_models import sd, sdxl
from training.cache import latents, texts
from training.objective.denoising import InstanceDenoising

pytestmark = pytest.mark.usefixtures("fresh_accelerate")
NAMES = {"sd": sd, "sdxl": sdxl}


@pytest.fixture
def base(request: pytest.FixtureRequest, tmp_path: Path, words: Path) -> Path:
    kind = getattr(request, "param", "sdxl")
    NAMES[kind](words).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the base model encodes for the steps of a training."""
    found: list[str] = []
    stepping = False
    forward = InstanceDenoising.forward

    def step(*given: Any) -> Any:
        nonlocal stepping
        stepping = True
        loss = forward(*given)
        stepping = False
        return loss

    monkeypatch.setattr(InstanceDenoising, "forward", step)
    for name in ("encode", "encode_captions", "embed_phrases"):
        action = getattr(BaseModel, name)

        def counted(*given: Any, action: Any = action, name: str = name) -> Any:
            if stepping:
                found.append(name)
            return action(*given)

        monkeypatch.setattr(BaseModel, name, counted)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "captions"), [("sd", True), ("sdxl", True), ("sdxl", False)], indirect=["base"]
)
def test_the_losses_are_those_without_a_cache(
    base: Path, tmp_path: Path, captions: bool, encodings: list[str]
) -> None:
    """On pictures of several shapes, with two crops each, for more than an epoch."""
    pictures = write_pictures(tmp_path / "pictures", captions=captions)
    loop = {"steps": 8, "save_every": 8, "held_out_every": 4, "log_every": 1, "trackers": []}
    given = settings(tmp_path / "cache")
    plain = config_file(tmp_path / "plain", base, pictures, loop=loop)
    expected = train(plain, *given[1:])
    make_cache(plain, *given)
    assert set(encodings) == {"encode", "encode_captions", "embed_phrases"}
    encodings.clear()
    cached = train(config_file(tmp_path / "cached", base, pictures, loop=loop), *given)
    assert not encodings
    for name in ("losses.csv", "held_out.csv"):
        assert np.allclose(losses(cached, name), losses(expected, name), rtol=1e-6, atol=1e-6)
    assert len(losses(cached)) == 8


@pytest.mark.slow
@pytest.mark.parametrize(("part", "other"), [("latents", "text"), ("text", "latents")])
def test_each_cache_works_alone(base: Path, tmp_path: Path, part: str, other: str) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    given = settings(tmp_path / "cache", f"cache.{other}=false")
    plain = config_file(tmp_path / "plain", base, pictures)
    expected = train(plain, *given[1:-1])
    make_cache(plain, *given)
    assert not (tmp_path / "cache" / (texts.FOLDER if other == "text" else latents.FOLDER)).exists()
    cached = train(config_file(tmp_path / "cached", base, pictures), *given)
    assert np.allclose(losses(cached), losses(expected), rtol=1e-6)


@pytest.mark.slow
def test_a_run_goes_on_with_a_cache_as_it_began_without(base: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    config, given = config_file(tmp_path / "plain", base, pictures), settings(tmp_path / "cache")
    train(config, *given[1:], "adapter.loop.steps=2")
    make_cache(config, *given)
    run = train(config, *given)
    whole = train(config_file(tmp_path / "whole", base, pictures), *given[1:])
    assert np.allclose(losses(run), losses(whole), rtol=1e-6)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_values_are_stored_in_the_precision_of_the_run(base: Path, tmp_path: Path, precision: str) -> None:
    pictures = write_pictures(tmp_path / "pictures", 5)
    config = config_file(tmp_path / "plain", base, pictures)
    make_cache(config, *settings(tmp_path / "cache", f"adapter.loop.mixed_precision={precision}"))
    for folder in (latents.FOLDER, texts.FOLDER):
        (path,) = (tmp_path / "cache" / folder).glob("*.safetensors")
        dtypes = {tensor.dtype for tensor in load_file(path).values()}
        assert dtypes == {torch.float32 if precision == "no" else torch.bfloat16}
    run = train(config, *settings(tmp_path / "cache", f"adapter.loop.mixed_precision={precision}"))
    assert np.isfinite(losses(run)).all()


def test_each_distinct_text_is_stored_once(base: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    config = config_file(tmp_path / "plain", base, pictures)
    make_cache(config, *settings(tmp_path / "cache", "folder.held_out=null"))
    (path,) = (tmp_path / "cache" / texts.FOLDER).glob("*.safetensors")
    names = [name.partition(".")[2] for name in load_file(path)]
    assert names.count(texts.PHRASE) == 5
    assert names.count(texts.STATES) == 8  # seven captions and the empty one
    (path,) = (tmp_path / "cache" / latents.FOLDER).glob("*.safetensors")
    assert len(load_file(path)) == 24  # two crops of twelve pictures


@pytest.mark.slow
def test_pictures_that_cannot_be_decoded_are_left_out_and_replaced(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    for name in ("01.png", "03.png"):
        (pictures / name).write_bytes((pictures / name).read_bytes()[:-3000])
    (pictures / "04.json").unlink()
    given = settings(tmp_path / "cache", "folder.max_bad=0.4", "folder.held_out=null")
    plain = config_file(tmp_path / "plain", base, pictures)
    expected = train(plain, *given[1:])
    capsys.readouterr()
    make_cache(plain, *given)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Latents: 2 crops of 9 pictures in 1 files, ")
    assert [name in line for name, line in zip(("01.png", "03.png", "04.json"), lines[1:4], strict=True)]
    assert lines[4].startswith("Texts: ")
    cached = train(config_file(tmp_path / "cached", base, pictures), *given)
    assert np.allclose(losses(cached), losses(expected), rtol=1e-6)
    with pytest.raises(SystemExit):
        make_cache(plain, *settings(tmp_path / "other", "folder.max_bad=0.1", "folder.held_out=null"))
    assert "more than folder.max_bad" in capsys.readouterr().err


@pytest.mark.slow
def test_data_loader_processes_read_the_cache(base: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    config, given = config_file(tmp_path / "plain", base, pictures), settings(tmp_path / "cache")
    make_cache(config, *given, "adapter.loop.workers=2")
    alone = train(config, *given)
    run = train(config_file(tmp_path / "more", base, pictures), *given, "adapter.loop.workers=2")
    assert losses(run) == losses(alone)


def test_the_pictures_are_not_read_again(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    config, given = config_file(tmp_path / "plain", base, pictures), settings(tmp_path / "cache")
    make_cache(config, *given, "folder.held_out=null")
    monkeypatch.setattr("training.pictures.batches.window_pixels", None)
    assert len(losses(train(config, *given, "folder.held_out=null"))) == 2
