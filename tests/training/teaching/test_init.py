"""Fine-tuning an adapter file: from the release's format, on an SDXL-shaped base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import own_runs
import pytest
import torch
import yaml
from safetensors import safe_open

from ifadapter_core.storage import load_weights
from ifadapter_diffusers.base_model import BaseModel
from tiny_models import SHAPE, adapter_stage, sd, sdxl
from training.config import load_config
from training.new_adapter import load_init, new_adapter, shape_differences, unused_with_init

RATE = {"learning_rate": 1.0e-2, "ema_decay": 0.5, "steps": 10, "held_out_every": 5, "save_every": 10}


@pytest.fixture
def release(tmp_path: Path, words: Path) -> Path:
    """A file in the release's format, made for the tiny SDXL."""
    adapter = adapter_stage(words, pipeline=sdxl(words)).adapter
    return own_runs.save_release(tmp_path / "spd_adapter.bin", adapter.state_dict())


def test_an_adapter_starts_with_the_files_weights_and_settings(
    release: Path, words: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = load_init(str(release))
    adapter = new_adapter(BaseModel(sdxl(words)), SHAPE, weights)
    assert "adapter.init decides the adapter's shape: cumulative_mask True, not False." in caplog.text
    assert adapter.config.settings.cumulative_mask
    assert all(torch.equal(value, weights.tensors[name]) for name, value in adapter.state_dict().items())
    assert all(weight.requires_grad and weight.dtype == torch.float32 for weight in adapter.parameters())


MID = "mid_block.attentions.0.transformer_blocks.0"
BOTH = "with up_blocks.0.attentions.0.transformer_blocks.0, up_blocks.0.attentions.1.transformer_blocks.0"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"alpha": 0.7, "base_projections": False}, []),
        ({"queries": 3, "slots": 4}, ["queries 2, not 3", "slots 10, not 4"]),
        ({"gate_reduction": 2, "gate_kernel": 3}, ["gate_width 4, not 16", "gate_kernel 7, not 3"]),
        (
            {"blocks": ("mid_block",), "gate_reduction": 4},
            [
                f"layers 3, not 1 ({BOTH})",
                "gate_width 4, not 8",
            ],
        ),
        ({"blocks": ("mid_block", "up_blocks.0"), "transformer_blocks": 2}, ["layers 3, not 6 (without"]),
        ({"blocks": ("down_blocks.1",)}, [f"layers 3, not 1 ({BOTH}, {MID}, without down_blocks.1."]),
        ({"blocks": ("up_blocks.7",)}, [f"layers 3, not 0 ({BOTH}, {MID})"]),
    ],
)
def test_the_differences_are_those_of_the_file_from_the_shape_on_this_unet(
    words: Path, changes: dict[str, Any], expected: list[str]
) -> None:
    stage = adapter_stage(words, pipeline=sdxl(words))
    settings = replace(stage.adapter.config.settings, cumulative_mask=False)
    config = replace(stage.adapter.config, settings=settings)
    found = shape_differences(config, replace(SHAPE, **changes), stage.base.unet)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], []),
        (["adapter.recipe=ours"], []),  # which sets alpha
        (["adapter.recipe=null"], []),
        (["adapter.recipe=ours", "adapter.shape.alpha=1"], []),
        (["adapter.shape.alpha=0.7"], ["adapter.shape.alpha 0.7"]),
        (["adapter.recipe=ours", "adapter.shape.alpha=0"], ["adapter.shape.alpha 0.0"]),
        (
            ["adapter.recipe=null", "adapter.shape.base_projections=no"],
            ["adapter.shape.base_projections False"],
        ),
        (
            ["adapter.shape.alpha=0.7", "adapter.shape.base_projections=yes"],
            ["adapter.shape.alpha 0.7", "adapter.shape.base_projections True"],
        ),
    ],
)
def test_settings_of_new_weights_are_named_unless_they_come_from_the_recipe(
    settings: list[str], expected: list[str]
) -> None:
    assert unused_with_init(load_config("sdxl", settings).adapter) == expected


def test_an_adapter_of_another_base_is_refused(release: Path, words: Path) -> None:
    weights = load_init(str(release))
    with pytest.raises(ValueError, match=r"adapter\.init: The adapter does not fit .*text features 64 wide"):
        new_adapter(BaseModel(sd(words)), SHAPE, weights)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, r"adapter\.init: there is no file"), (b"no adapter", r"adapter\.init: spd\.bin")],
)
def test_a_file_that_cannot_be_read_names_the_setting(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content:
        (tmp_path / "spd.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_init(str(tmp_path / "spd.bin"))


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_fine_tuning_lowers_the_held_out_loss(
    release: Path, words: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A tiny SDXL, the release's format, pictures that the base does not know."""
    sdxl(words).save_pretrained(tmp_path / "base")
    config = own_runs.write_config(
        tmp_path / "own.yaml", tmp_path / "base", own_runs.draw(tmp_path / "pictures", 8), init=str(release)
    )
    data = yaml.safe_load(config.read_text())
    data["adapter"]["loop"] |= RATE
    config.write_text(yaml.safe_dump(data))
    run = own_runs.train(config)
    assert "adapter.init gives the weights, so adapter.shape.alpha 0.5 has no effect." in caplog.text

    rows = own_runs.held_out(run)
    assert [row["step"] for row in rows] == [0, 5, 10]
    assert rows[0]["loss"] > rows[1]["loss"] > rows[2]["loss"]
    assert rows[2]["loss"] < 0.99 * rows[2]["base_loss"]
    assert rows[2]["in_boxes"] < 0.99 * rows[0]["in_boxes"]
    assert len({row["base_loss"] for row in rows}) == 1

    weights = load_weights(run / "weights" / "ifadapter.safetensors")
    assert weights.config.settings.cumulative_mask
    with safe_open(run / "weights" / "ifadapter.safetensors", "pt") as file:
        settings = json.loads(file.metadata()["training"])
    assert settings["config"]["adapter"]["init"] == str(release)
    assert (settings["pictures"]["count"], settings["held_out"]["count"]) == (6, 2)
