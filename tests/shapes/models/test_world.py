"""The whole drawn world by one command, at the smallest size."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import shapes.models.world as world
import training.__main__ as command
from ifadapter_core.storage import load_weights
from ifadapter_diffusers.base_model import BaseModel
from training.config import LoopConfig
from training.config_reader import read_config

DEMO = Path(__file__).resolve().parents[3] / "demo"

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(autouse=True)
def few_sampling_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (
        ("shapes.models.stages.SENTENCES", 20),
        ("shapes.models.unet.STEPS", 1),
        ("training.adapter_stage.SHEET_STEPS", 1),
    ):
        monkeypatch.setattr(name, number)


def settings(folder: Path, **changed: object) -> list[str]:
    """Overrides for one or two steps of each stage on 12 scenes, written to ``folder``."""
    values: dict[str, object] = {
        "output": folder,
        "shapes.export": folder / "demo",
        "shapes.minutes": 0,
        "shapes.pool.pictures": 12,
        "shapes.pool.pixels": 4,
        "shapes.pool.processes": 0,
        "shapes.vae.batch_size": 2,
        "shapes.unet.batch_size": 2,
        "adapter.batch_size": 2,
        "adapter.samples": 1,
        "shapes.vae.loop.steps": 1,
        "shapes.unet.loop.steps": 1,
        "adapter.loop.steps": 2,
        **{key.replace("__", "."): value for key, value in changed.items()},
    }
    return [f"{key}={value}" for key, value in values.items()]


def run(folder: Path, *options: str, **changed: object) -> None:
    command.main(["world", "--config", "shapes_gpu", *options, *settings(folder, **changed)])


def run_vae(folder: Path, *options: str, **changed: object) -> None:
    """One step of the autoencoder, from the demo's models."""
    given = {"shapes__init": DEMO, "shapes__stages": "[vae]", **changed}
    run(folder, *options, **given)


@pytest.mark.slow
def test_all_stages_train_and_are_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    processes = 2 if hasattr(os, "fork") else 0
    run(tmp_path, shapes__pool__processes=processes)
    for stage in ("vae", "unet", "adapter"):
        assert list((tmp_path / stage / "samples").iterdir())
    last = capsys.readouterr().out.splitlines()[-1]
    assert all(f" {part} " in last for part in ("vae", "unet", "adapter", "export", "in all"))
    base = BaseModel.from_pretrained(str(tmp_path / "demo"))
    adapter = load_weights(tmp_path / "demo" / "ifadapter.safetensors").config
    assert adapter.resampler.text_width == base.text_width
    with safe_open(tmp_path / "adapter" / "weights" / "ifadapter.safetensors", "pt") as file:
        trained = json.loads(file.metadata()["training"])
    assert trained["config"]["adapter"]["loop"]["steps"] == 2
    assert trained["pictures"]["count"] == 12

    # A second run of one stage starts from the exported models.
    second = tmp_path / "second"
    run(
        second,
        shapes__init=tmp_path / "demo",
        shapes__stages="[adapter]",
        adapter__loop__steps=1,
        adapter__loop__learning_rate=1.0e-12,
    )
    assert not (second / "vae" / "samples").exists()
    for file in ("ifadapter.safetensors", "unet/diffusion_pytorch_model.safetensors"):
        before, after = (load_file(folder / "demo" / file) for folder in (tmp_path, second))
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def fail(*_: object) -> None:
    raise ValueError("no sheet")


@pytest.mark.slow
def test_an_error_after_the_weights_are_saved_follows_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shapes.models.pool_stages.PoolAdapterStage.sheet", fail)
    with pytest.raises(SystemExit):
        run(tmp_path)
    captured = capsys.readouterr()
    assert "adapter failed after its weights were saved" in captured.out
    assert "no sheet" in captured.err
    assert (tmp_path / "demo" / "ifadapter.safetensors").exists()


@pytest.mark.slow
def test_an_error_before_the_last_weights_ends_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_vae(tmp_path)
    before = (tmp_path / "demo" / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    both = {"shapes__stages": "[vae,unet]", "shapes__vae__loop__steps": 3}

    with monkeypatch.context() as patch:  # after the weights of step 2, which are not the last ones
        patch.setattr("shapes.models.vae.VAEStage.sheet", fail)
        with pytest.raises(SystemExit):
            run_vae(
                tmp_path,
                "--override",
                **both,
                shapes__vae__loop__save_every=1,
                shapes__vae__loop__sample_every=2,
            )
    captured = capsys.readouterr()
    assert "no sheet" in captured.err
    assert "failed after its weights were saved" not in captured.out

    state = tmp_path / "vae" / "state" / "trained.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(SystemExit):
        run_vae(tmp_path, **both)
    captured = capsys.readouterr()
    assert "is damaged" in captured.err
    assert "failed after its weights were saved" not in captured.out
    assert not (tmp_path / "unet" / "samples").exists()
    after = (tmp_path / "demo" / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert after == before  # nothing more is exported


@pytest.mark.slow
def test_a_stage_resumes_with_its_settings_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_vae(tmp_path)
    for changed, message in (
        ({"shapes__vae__loss__flat": 3}, "shapes.vae.loss.flat 0.0, now 3.0"),
        ({"shapes__vae__loop__seed": 1}, "shapes.vae.loop.seed 0, now 1"),
        ({"shapes__pool__crowding": 2}, "shapes.pool.crowding 5, now 2"),
        ({"shapes__init": "null"}, "shapes.init"),
    ):
        with pytest.raises(SystemExit):
            run_vae(tmp_path, **changed)
        error = capsys.readouterr().err
        assert message in error
        assert "--override" in error

    single = [part for part in settings(tmp_path) if "loop.steps" not in part]
    with pytest.raises(SystemExit):  # of other pictures than the pool's
        command.main(["vae", "--config", "shapes_gpu", *single])
    assert "pictures 12 with the hash" in capsys.readouterr().err

    finished = json.loads((tmp_path / "vae" / "settings.json").read_text())
    assert len(finished) == 1
    run_vae(tmp_path, "--override", shapes__vae__loss__flat=3, shapes__vae__loop__steps=2)
    assert len(json.loads((tmp_path / "vae" / "settings.json").read_text())) == 2


def test_models_of_another_init_replace_those_of_the_first_but_not_trained_ones(tmp_path: Path) -> None:
    for name in ("first", "second"):
        for part in world.WEIGHTS:
            place = tmp_path / name / part
            file = place if place.suffix else place / "file"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
    (tmp_path / "first" / "vae" / "only here").touch()
    folder = tmp_path / "run"
    world.copy_weights(tmp_path / "first", folder)
    (folder / "unet" / "state").mkdir()
    world.copy_weights(tmp_path / "second", folder)
    found = {
        part: next(file for file in (folder / place, folder / place / "file") if file.is_file()).read_text()
        for part, place in world.WEIGHTS.items()
    }
    assert found == {
        "vae": "second",
        "ifadapter.safetensors": "second",
        **dict.fromkeys(("unet", "text_encoder", "scheduler", "tokenizer"), "first"),
    }
    assert not (folder / "vae" / "weights" / "only here").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"adapter__loop__mixed_precision": "'no'"}, "same mixed_precision"),
        ({"shapes__minutes": 5, "adapter__loop__minutes": 0}, "loop.minutes of every stage"),
        ({"adapter__shape__slots": 4}, "largest number of instances, 6"),
        ({"adapter__init": "spd_adapter.bin"}, "adapter.init is set, but world starts from shapes.init"),
        ({"shapes__stages": "[adapter]"}, "no weights of vae, unet"),
        ({"shapes__init": "nowhere"}, "There is no nowhere/vae"),
        ({"shapes__pool": "null"}, "no shapes.pool"),
        ({"shapes__pool__pixels": 13}, "pixels is 13; expected 1 to pictures, which is 12"),
        ({"shapes__vae__batch_size": 5}, "has 4 pictures, a batch 5"),
    ],
)
def test_mistakes_are_found_early(
    tmp_path: Path, changed: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if changed.get("shapes__pool") == "null":
        given = [part for part in settings(tmp_path) if "pool" not in part]
        arguments = ["world", "--config", "shapes_gpu", *given, "shapes.pool=null"]
    else:
        arguments = ["world", "--config", "shapes_gpu", *settings(tmp_path, **changed)]
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert message in capsys.readouterr().err


def test_stages_share_the_time_that_is_left() -> None:
    loops = [LoopConfig(steps=1, minutes=minutes) for minutes in (1.0, 2.0, 1.0)]
    assert world.limited(loops, 240).minutes == 1.0
    assert world.limited(loops[1:], 90).minutes == 1.0
    assert world.limited(loops[2:], 90).minutes == 1.5
    assert world.limited(loops[2:], -20).minutes == 0.1


def test_the_configs_train_the_same_models() -> None:
    cpu, gpu = (read_config(name) for name in ("shapes", "shapes_gpu"))
    assert cpu["shapes"]["world"] == gpu["shapes"]["world"]
    assert cpu["adapter"]["shape"] == gpu["adapter"]["shape"]
