"""Tiny Stable Diffusion and SDXL with random weights, data for them, and a toy stage for the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.randomness import seeded_generator
from shapes.models.vocabulary import train_vocabulary
from training.adapter_stage import AdapterStage
from training.config import AdapterLoss, AdapterShape
from training.objective.denoising import LayoutBatch
from training.processes.group import Processes

SIZE = 32  # pixels along each side: 16 latent cells
TEXTS = (
    "a red circle with white dots",
    "a blue square",
    "a green star striped in yellow",
    "a plain black triangle",
    "one circle and a star",
)
SHAPE = AdapterShape(("mid_block", "up_blocks.0"), 1, 16, 2, 2, 2, 8, 16, gate_reduction=8, alpha=0.5)
SCHEDULE: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tokenizer(folder: Path) -> CLIPTokenizer:
    if not (folder / "vocab.json").exists():
        train_vocabulary(TEXTS, folder)
    return CLIPTokenizer.from_pretrained(str(folder))


def sd(folder: Path, seed: int = 0) -> StableDiffusionPipeline:
    """folder: for the tokenizer's files."""
    torch.manual_seed(seed)
    words = tokenizer(folder)
    unet = UNet2DConditionModel(**_unet(32))
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config(words)),
        tokenizer=words,
        unet=unet,
        scheduler=PNDMScheduler(**SCHEDULE, skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl(folder: Path, seed: int = 0) -> StableDiffusionXLPipeline:
    """folder: for the tokenizer's files."""
    torch.manual_seed(seed)
    words, second = tokenizer(folder), tokenizer(folder)
    second.pad_token = "!"  # as SDXL's second tokenizer pads
    unet = UNet2DConditionModel(
        **_unet(64),
        transformer_layers_per_block=2,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
        use_linear_projection=True,
    )
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config(words)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(words)),
        tokenizer=words,
        tokenizer_2=second,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULE),
    )


def _unet(text_width: int) -> dict[str, Any]:
    return {
        "sample_size": 16,
        "block_out_channels": (32, 32),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "cross_attention_dim": text_width,
        "attention_head_dim": 2,
    }


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=SIZE,
    )


def _text_config(words: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        projection_dim=32,
        num_hidden_layers=6,
        num_attention_heads=2,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )


def layout(number: int, instances: int | None = None, size: int = SIZE) -> Layout:
    """A random layout, deterministic for each number, with one to three instances unless given."""
    randomness = seeded_generator(7, number)
    count = 1 + number % 3 if instances is None else instances
    corners = torch.rand(count, 2, 2, generator=randomness).sort(dim=1).values
    lengthened = [
        (*low, *(max(high[axis], low[axis] + 0.1) for axis in (0, 1)))
        for low, high in (corners * 0.9).tolist()
    ]
    parts = tuple(
        Instance(Box(*box), TEXTS[(number + place) % len(TEXTS)]) for place, box in enumerate(lengthened)
    )
    return Layout(size, size, parts, TEXTS[number % len(TEXTS)])


class Batches(Dataset[LayoutBatch]):
    """Random latents with layouts. empty: batches without instances."""

    def __init__(self, size: int = 2, empty: tuple[int, ...] = ()) -> None:
        self.size = size
        self.empty = empty

    def __getitem__(self, number: int) -> LayoutBatch:
        latents = torch.randn(self.size, 4, 16, 16, generator=seeded_generator(3, number))
        instances = 0 if number in self.empty else None
        return LayoutBatch(
            [layout(number * self.size + place, instances) for place in range(self.size)], latents
        )


def adapter_stage(
    folder: Path, loss: AdapterLoss | None = None, pipeline: Any = None, **options: Any
) -> AdapterStage:
    """A new adapter on the tiny Stable Diffusion. Its gates are open, so that all weights have gradients."""
    base = BaseModel(pipeline or sd(folder))
    torch.manual_seed(1)
    return AdapterStage(base, SHAPE, loss or AdapterLoss(), Batches(), [layout(0), layout(1)], **options)


def save_models(folder: Path, pipeline: Any = None) -> Path:
    """Write a folder like ``demo/``: a pipeline (default: Stable Diffusion) and a random strong adapter."""
    pipeline = pipeline or sd(folder / "tokenizer")
    pipeline.save_pretrained(folder)
    stage = adapter_stage(folder / "tokenizer", pipeline=pipeline)
    set_alpha(stage.adapter, 1.0)
    for name, parameter in stage.adapter.named_parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
        if name.endswith("to_v_ap.weight"):
            parameter.data *= 30
    stage.save(folder / "weights")
    (folder / "weights" / "ifadapter.safetensors").rename(folder / "ifadapter.safetensors")
    return folder


def gradients(stage: AdapterStage, batch: LayoutBatch) -> dict[str, Tensor]:
    """The gradient of each weight of the adapter, by name."""
    stage.adapter.zero_grad()
    stage.objective(batch, seeded_generator(0)).backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in stage.adapter.named_parameters()
        if parameter.grad is not None
    }


def set_alpha(adapter: nn.Module, value: float) -> None:
    for name, parameter in adapter.named_parameters():
        if name.endswith("alpha"):
            nn.init.constant_(parameter, value)


class Toy:
    """A stage that trains in no time: linear regression of noisy points."""

    def __init__(self) -> None:
        torch.manual_seed(5)
        self.objective = _ToyObjective()
        self.batches: Dataset[Any] = _Points()

    def sheet(self, generator: torch.Generator, processes: Processes) -> Image.Image:
        return Image.new("RGB", (4, 4))

    def save(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        torch.save(self.objective.line.weight.detach().clone(), folder / "line.pt")


class _ToyObjective(nn.Module):
    """seen: the weights at every call. calls: the index of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.line = nn.Linear(3, 1)
        self.seen: list[Tensor] = []
        self.calls: list[int] = []

    def forward(self, batch: tuple[int, Tensor], generator: torch.Generator) -> Tensor:
        number, points = batch
        self.seen.append(self.line.weight.detach().clone())
        self.calls.append(number)
        noise = 0.1 * torch.randn(len(points), generator=generator)
        return (self.line(self.frozen(points))[:, 0] - points.sum(dim=1) - noise).square().mean()


class _Points(Dataset[Any]):
    def __getitem__(self, number: int) -> tuple[int, Tensor]:
        return number, torch.randn(4, 3, generator=seeded_generator(2, number))
