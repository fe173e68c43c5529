"""The adapter's training stage: initialization, what it trains and saves, resuming, sample sheets."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ifadapter_core.checkpoint import build_adapter
from ifadapter_core.storage import load_weights
from ifadapter_diffusers.contact_sheet import TITLE_PX
from ifadapter_diffusers.randomness import seeded_generator
from tiny_models import SHAPE, SIZE, TEXTS, Batches, adapter_stage, sd, sdxl, set_alpha
from training.adapter_stage import AdapterStage
from training.config import LoopConfig
from training.loop import train
from training.new_adapter import adapter_config
from training.objective.denoising import LayoutBatch

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = {"sd": sd, "sdxl": sdxl}
CONFIG = LoopConfig(
    steps=4, learning_rate=1e-3, weight_decay=0.0, ema_decay=0.9, save_every=100, sample_every=100
)


def copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_new_adapter_starts_with_the_projections_of_the_base(words: Path, kind: str) -> None:
    stage = adapter_stage(words, pipeline=PIPELINES[kind](words))
    names = list(stage.base.unet.attn_processors)
    for layer in stage.adapter.config.layers:
        attention = stage.base.unet.get_submodule(names[layer.processor].removesuffix(".processor"))
        projection = stage.adapter.projections[str(layer.processor)]
        assert torch.equal(projection.to_k_ap.weight, attention.to_k.weight)
        assert torch.equal(projection.to_v_ap.weight, attention.to_v.weight)
        assert projection.to_v_ap.weight.requires_grad
        assert not attention.to_v.weight.requires_grad
        assert stage.adapter.layers[str(layer.processor)].alpha.item() == SHAPE.alpha


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_training_changes_all_weights_of_the_adapter_and_none_of_the_base(
    stage: AdapterStage, tmp_path: Path
) -> None:
    set_alpha(stage.adapter, 0.0)  # the default of a new adapter
    base, adapter = copy(stage.base), copy(stage.adapter)
    train(stage, CONFIG, tmp_path)
    assert stage.base.state_dict().keys() == base.keys()
    assert not [
        name for name, tensor in stage.base.state_dict().items() if not torch.equal(tensor, base[name])
    ]
    assert not [
        name
        for name, parameter in stage.base.named_parameters()
        if parameter.requires_grad or parameter.grad is not None
    ]
    assert not [
        name for name, tensor in stage.adapter.state_dict().items() if torch.equal(tensor, adapter[name])
    ]
    assert {name.partition(".")[0] for name in load_file(tmp_path / "state" / "trained.safetensors")} == {
        "adapted"
    }


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_the_saved_file_has_the_trained_adapter(stage: AdapterStage, tmp_path: Path) -> None:
    train(stage, replace(CONFIG, ema_decay=0.0), tmp_path)
    weights = load_weights(tmp_path / "weights" / "ifadapter.safetensors")
    assert weights.config == stage.adapter.config
    loaded = build_adapter(weights)
    phrases = stage.base.embed_phrases(TEXTS, (-2, -4, -6))
    boxes = torch.rand(len(TEXTS), 2, 2).sort(dim=1).values.flatten(1)
    assert torch.equal(loaded(phrases, boxes), stage.adapter(phrases, boxes))
    assert all(
        torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in stage.adapter.state_dict().items()
    )


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_the_saved_file_has_the_moving_average(words: Path, tmp_path: Path) -> None:
    stage = adapter_stage(words)
    train(stage, CONFIG, tmp_path)
    average = torch.load(tmp_path / "state" / "custom_checkpoint_1.pkl")["shadow_params"]
    stored = load_file(tmp_path / "weights" / "ifadapter.safetensors")
    assert all(
        torch.equal(stored[name], tensor)
        for (name, _), tensor in zip(stage.adapter.named_parameters(), average, strict=True)
    )
    assert any(
        not torch.equal(stored[name], parameter) for name, parameter in stage.adapter.named_parameters()
    )


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_a_resumed_run_equals_an_uninterrupted_one(words: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=6, accumulation=2)
    train(adapter_stage(words), config, tmp_path / "whole")
    stage = adapter_stage(words)
    stage.batches = Interrupting(5)
    with pytest.raises(KeyboardInterrupt):
        train(stage, config, tmp_path / "stopped")
    torch.manual_seed(99)
    train(adapter_stage(words), config, tmp_path / "stopped")
    assert (tmp_path / "whole" / "losses.csv").read_bytes() == (
        tmp_path / "stopped" / "losses.csv"
    ).read_bytes()
    for file in ("weights/ifadapter.safetensors", "state/trained.safetensors"):
        whole, stopped = (load_file(tmp_path / name / file) for name in ("whole", "stopped"))
        assert whole.keys() == stopped.keys()
        assert all(torch.equal(whole[name], stopped[name]) for name in whole)


class Interrupting(Batches):
    """Sends Ctrl-C when one batch is loaded."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def __getitem__(self, number: int) -> LayoutBatch:
        if number == self.at:
            signal.raise_signal(signal.SIGINT)
        return super().__getitem__(number)


def test_a_sample_sheet_is_deterministic_and_leaves_the_global_random_state(stage: AdapterStage) -> None:
    state = torch.get_rng_state()
    sheet = stage.sheet(seeded_generator(3))
    assert sheet.height == 3 * (SIZE + TITLE_PX)
    assert (
        sheet.tobytes()
        == stage.sheet(seeded_generator(3)).tobytes()
        != stage.sheet(seeded_generator(4)).tobytes()
    )
    assert torch.equal(torch.get_rng_state(), state)  # sheets do not affect the training


def test_blocks_without_cross_attention_are_rejected(words: Path) -> None:
    unet = sd(words).unet
    with pytest.raises(ValueError, match=r"no cross attention in the blocks up_blocks\.1, middle\."):
        adapter_config(unet, 32, replace(SHAPE, blocks=("mid_block", "up_blocks.1", "middle")))
    with pytest.raises(ValueError, match=r"reads 32-wide.*give 64"):
        adapter_config(unet, 64, SHAPE)


def test_only_the_first_transformer_blocks_are_adapted(words: Path) -> None:
    unet = sdxl(words).unet
    names = list(unet.attn_processors)
    for count in (1, 2):
        config = adapter_config(unet, 64, replace(SHAPE, transformer_blocks=count))
        adapted = {names[layer.processor] for layer in config.layers}
        wanted = {
            f"{block}.attentions.{attention}.transformer_blocks.{number}.attn2.processor"
            for block, attention in (("mid_block", 0), ("up_blocks.0", 0), ("up_blocks.0", 1))
            for number in range(count)
        }
        assert adapted == wanted
