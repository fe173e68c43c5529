"""Training an adapter with less precision or memory, on another device, in several processes."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import sample_layouts
from tiny_models import SHAPE, SIZE, Batches, adapter_stage, gradients, layout, sd, sdxl, set_alpha
from training.adapter_stage import AdapterStage
from training.config import AdapterLoss, LoopConfig
from training.loop import train
from training.objective.denoising import LayoutBatch

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = {"sd": sd, "sdxl": sdxl}
CONFIG = LoopConfig(
    steps=4, learning_rate=1e-3, weight_decay=0.0, ema_decay=0.9, save_every=100, sample_every=100
)


def test_gradient_checkpointing_gives_the_same_gradients(stage: AdapterStage) -> None:
    batch = Batches()[2]
    plain = gradients(stage, batch)
    calls: list[int] = []
    stage.base.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k.register_forward_hook(
        lambda *_: calls.append(1)
    )
    gradients(stage, batch)
    assert len(calls) == 1
    stage.base.unet.enable_gradient_checkpointing()
    saved = gradients(stage, batch)
    assert len(calls) > 2  # recomputed in the backward pass
    assert plain.keys() == saved.keys()
    assert all(torch.allclose(plain[name], saved[name], rtol=1e-4, atol=1e-7) for name in plain)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_training_in_bfloat16_has_nearly_the_same_losses(words: Path, tmp_path: Path) -> None:
    """From pixels, with the base model in bfloat16 too; the adapter stays float32."""
    sdxl(words).save_pretrained(tmp_path / "base")
    curves = {}
    for precision, dtype in (("no", torch.float32), ("bf16", torch.bfloat16)):
        base = BaseModel.from_pretrained(str(tmp_path / "base"), dtype)
        torch.manual_seed(1)
        stage = AdapterStage(base, SHAPE, AdapterLoss(), PixelBatches(), [layout(0), layout(1)])
        set_alpha(stage.adapter, 0.5)
        losses: list[float] = []
        stage.objective.register_forward_hook(lambda _, __, loss, losses=losses: losses.append(loss.item()))
        train(stage, replace(CONFIG, mixed_precision=precision), tmp_path / precision)
        assert {parameter.dtype for parameter in stage.adapter.parameters()} == {torch.float32}
        assert (tmp_path / precision / "samples" / "step_000004.png").exists()
        curves[precision] = torch.tensor(losses)
        reset_accelerate()
    assert curves["bf16"].isfinite().all()
    assert torch.allclose(curves["bf16"], curves["no"], rtol=0.02)
    assert not torch.equal(curves["bf16"], curves["no"])


def reset_accelerate() -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


class PixelBatches(Batches):
    """Random pixels instead of latents."""

    def __getitem__(self, number: int) -> LayoutBatch:
        images = torch.rand(self.size, 3, SIZE, SIZE, generator=seeded_generator(4, number)) * 2 - 1
        return LayoutBatch(super().__getitem__(number).layouts, images=images)


@pytest.mark.slow
def test_all_tensors_follow_the_model_to_another_device(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixing the meta device with the CPU is an error. It has no values, so phrases have a fixed length."""
    stage = adapter_stage(words, AdapterLoss(noises=2, box_weight=2.0), sdxl(words))
    stage.objective.to("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    width = stage.base.text_width

    def phrases(texts: list[str], depths: tuple[int, ...]) -> PhraseEmbeddings:
        shapes = ((len(texts), 3, 9, width), (len(texts), 9), (len(texts), width))
        return PhraseEmbeddings(*(torch.ones(shape, device="meta") for shape in shapes))

    monkeypatch.setattr(stage.base, "embed_phrases", phrases)
    some, none = [layout(0), layout(1), layout(2, 0)], [layout(0, 0), layout(1, 0), layout(2, 0)]
    latents, images = torch.zeros(3, 4, 16, 16), torch.zeros(3, 3, SIZE, SIZE)
    for batch in (LayoutBatch(some, latents), LayoutBatch(some, images=images), LayoutBatch(none, latents)):
        found = gradients(stage, batch)
        assert found
        assert {gradient.device.type for gradient in found.values()} == {"meta"}
    sampled = sample_layouts(stage.objective.adapted, stage.base, some, seeded_generator(0), 1, 2.0)
    assert sampled.device.type == "meta"
    assert sampled.shape == images.shape
