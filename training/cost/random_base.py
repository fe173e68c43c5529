"""Base models of true size with random weights, made on a device without any download.

Time and memory of a training step depend on the sizes of the weights, not on their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from ifadapter_diffusers.base_model import BaseModel

TOKENS = 77  # of a text, padded
VOCABULARY = 49408
SCHEDULE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


@dataclass(frozen=True)
class Architecture:
    """Sizes of a base model.

    size: side of the pictures that it was trained on, in pixels.
    unet, vae: arguments of diffusers' models.
    texts: arguments of each text encoder's ``CLIPTextConfig``: one for Stable Diffusion 1.x, two for
        SDXL.
    """

    size: int
    unet: dict[str, Any]
    vae: dict[str, Any]
    texts: tuple[dict[str, Any], ...]


CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
AUTOENCODER: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
ARCHITECTURES = {
    "sdxl": Architecture(
        size=1024,
        unet={
            "sample_size": 128,
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10),
            "attention_head_dim": (5, 10, 20),  # diffusers' name for the number of heads
            "cross_attention_dim": 2048,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        vae=AUTOENCODER,
        texts=(CLIP_L, CLIP_G),
    ),
    "sd15": Architecture(
        size=512,
        unet={"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
        vae=AUTOENCODER,
        texts=(CLIP_L,),
    ),
}


class RandomTokenizer:
    """Token ids of words without a vocabulary. Shaped like those of CLIP."""

    model_max_length = TOKENS
    bos_token_id, eos_token_id = VOCABULARY - 2, VOCABULARY - 1

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, Tensor]:
        rows = torch.full((len(texts), TOKENS), self.eos_token_id)
        for row, text in zip(rows, texts, strict=True):
            words = text.split()[: TOKENS - 2]
            ids = [self.bos_token_id, *(crc32(word.encode()) % self.bos_token_id for word in words)]
            row[: len(ids)] = torch.tensor(ids)
        return {"input_ids": rows}


def random_base(architecture: Architecture, device: torch.device, dtype: torch.dtype) -> BaseModel:
    """A base model with random weights on ``device``.

    dtype: of the UNet and the text encoders; the autoencoder is float32, as in
        ``BaseModel.from_pretrained``.
    """
    tokens = {
        "vocab_size": VOCABULARY,
        "bos_token_id": RandomTokenizer.bos_token_id,
        "eos_token_id": RandomTokenizer.eos_token_id,
    }
    texts = [CLIPTextConfig(**sizes, **tokens) for sizes in architecture.texts]
    with torch.device(device):
        vae = AutoencoderKL(**architecture.vae)
        unet = _cast(UNet2DConditionModel(**architecture.unet), dtype)
        first = _cast(CLIPTextModel(texts[0]), dtype)
        second = _cast(CLIPTextModelWithProjection(texts[1]), dtype) if len(texts) == 2 else None
    vae.enable_slicing()

    parts: dict[str, Any] = {
        "unet": unet,
        "vae": vae,
        "text_encoder": first,
        "tokenizer": RandomTokenizer(),
        "scheduler": EulerDiscreteScheduler(**SCHEDULE),
    }
    if second is None:
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        return BaseModel(StableDiffusionPipeline(**parts))
    parts |= {"text_encoder_2": second, "tokenizer_2": RandomTokenizer()}
    return BaseModel(StableDiffusionXLPipeline(**parts))


def _cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The model in another precision. diffusers' own ``to`` warns, also where it changes nothing."""
    return nn.Module.to(model, dtype)
