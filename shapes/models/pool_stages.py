"""The stages of the UNet and the adapter on a pool: their steps do no work for single pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ifadapter_core.layout import Layout
from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.base_model import BaseModel, Conditioning, token_ids
from ifadapter_diffusers.sampling import add_noise
from training.adapter_stage import AdapterStage
from training.config import AdapterConfig, AdapterLoss

from ..sampler import World
from .pool import CAPTIONS
from .pool_batches import PoolBatch, PoolBatches, PoolTensors
from .slots import Slots, SlotUNet, covered_cells
from .unet import CAPTION_PARTS, Denoising, UNetStage

FULL_CAPTIONS = 1 / 3  # fraction of the adapter's captions with all local descriptions
PHRASES = 512  # local descriptions encoded at once


class PoolDenoising(Denoising):
    """``Denoising`` of a ``PoolBatch``."""

    empty: Tensor
    chances: Tensor

    def __init__(
        self,
        unet: UNet2DConditionModel,
        scheduler: DDPMScheduler,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
    ) -> None:
        super().__init__(unet, scheduler, text_encoder, tokenizer)
        self.register_buffer("empty", token_ids(self.tokenizer, [""]), persistent=False)
        # Tensors made in a step would be copied to the GPU, which waits for all work before.
        chances = torch.tensor([CAPTION_PARTS[kind] for kind in ("none", *CAPTIONS)])
        self.register_buffer("chances", chances, persistent=False)

    def caption_ids(self, batch: Any, generator: torch.Generator) -> Tensor:
        kinds = torch.multinomial(self.chances, len(batch.latents), replacement=True, generator=generator)
        return chosen_captions(batch.captions, kinds - 1, self.empty)


def chosen_captions(captions: Tensor, kinds: Tensor, empty: Tensor) -> Tensor:
    """Token ids (B, 77) of one caption per picture.

    captions: (B, K, 77). kinds: (B,) index of the caption; -1 = the empty one, ``empty`` (1, 77).
    """
    rows = torch.arange(len(captions), device=captions.device)
    chosen = captions[rows, kinds.clamp(min=0)].long()
    return torch.where((kinds < 0)[:, None], empty, chosen)


def pool_unet_stage(
    world: World, tokenizer: CLIPTokenizer, tensors: PoolTensors, size: int, seed: int, vae: AutoencoderKL
) -> UNetStage:
    """The stage of the UNet and its text encoder in batches of ``size``."""
    return UNetStage(world, tokenizer, PoolBatches(tensors, size, seed), vae, PoolDenoising)


class SlotDenoising(nn.Module):
    """``InstanceDenoising`` of a ``PoolBatch``: the same loss, computed in slots.

    phrases: embeddings of all local descriptions of the pool.
    """

    phrase_embeds: Tensor
    attention_mask: Tensor
    eot_embeds: Tensor
    empty: Tensor

    def __init__(
        self, base: BaseModel, adapted: SlotUNet, loss: AdapterLoss, phrases: PhraseEmbeddings
    ) -> None:
        super().__init__()
        self.base, self.adapted, self.loss = base, adapted, loss
        self.register_buffer("phrase_embeds", phrases.phrase_embeds, persistent=False)
        self.register_buffer("attention_mask", phrases.attention_mask, persistent=False)
        self.register_buffer("eot_embeds", phrases.eot_embeds, persistent=False)
        self.register_buffer("empty", token_ids(base.tokenizers[0], [""]), persistent=False)

    def forward(self, batch: PoolBatch, generator: torch.Generator) -> Tensor:
        """B pictures -> loss (). Each has ``loss.noises`` adjacent rows with different noise."""
        noises, count = self.loss.noises, len(batch.latents)

        # Condition dropout, for classifier-free guidance.
        chances = torch.rand(3, count, generator=generator, device=generator.device)
        described = chances[0] >= self.loss.drop_local
        kinds = (chances[1] < FULL_CAPTIONS).long()  # CAPTIONS: global, full
        kinds = torch.where(chances[2] < self.loss.drop_global, -1, kinds)
        with torch.no_grad():
            ids = chosen_captions(batch.captions, kinds, self.empty)
            states = self.base.text_encoders[0](ids).last_hidden_state
        conditioning = Conditioning(states).repeat(noises)

        # Instance tokens.
        slots = Slots(*(part.repeat_interleave(noises, dim=0) for part in self._slots(batch, described)))

        # Noise, and its prediction.
        latents = batch.latents.repeat_interleave(noises, dim=0)
        noisy, timesteps, target = add_noise(self.base.scheduler, latents, generator, self.loss.middle)
        prediction = self.adapted.denoise(noisy, timesteps, conditioning, slots).float()

        # Weighted mean of the squared error.
        height, width = latents.shape[-2:]
        inside = (covered_cells(slots.boxes, height, width) & slots.present[..., None]).any(dim=1)
        weights = 1 + (self.loss.box_weight - 1) * inside.float().unflatten(1, (height, width))
        return ((prediction - target).square().mean(dim=1) * weights).sum() / weights.sum()

    def _slots(self, batch: PoolBatch, described: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, boxes and presence of all slots. described: (B,) False = null tokens."""
        numbers = batch.descriptions.flatten()
        kept = described.repeat_interleave(batch.descriptions.shape[1])
        phrases = PhraseEmbeddings(
            self.phrase_embeds[numbers] * kept[:, None, None, None],
            self.attention_mask[numbers] * kept[:, None],
            self.eot_embeds[numbers] * kept[:, None],
        )
        tokens = self.adapted.adapter(phrases, batch.boxes.flatten(0, 1))
        return tokens.unflatten(0, batch.present.shape), batch.boxes, batch.present


class PoolAdapterStage(AdapterStage):
    """The stage of an adapter on a pool."""

    def __init__(
        self, base: BaseModel, config: AdapterConfig, tensors: PoolTensors, held_out: Sequence[Layout]
    ) -> None:
        batches: Any = PoolBatches(tensors, config.batch_size, config.loop.seed)
        super().__init__(base, config.shape, config.loss, batches, held_out, guidance=config.guidance)
        phrases = embed_all(base, tensors.descriptions, config.shape.text_depths)
        adapted = SlotUNet(base.unet, self.adapter)
        self.objective: Any = SlotDenoising(base, adapted, config.loss, phrases)


@torch.no_grad()
def embed_all(base: BaseModel, descriptions: Sequence[str], depths: Sequence[int]) -> PhraseEmbeddings:
    """Embeddings of many local descriptions, padded to the longest one."""
    parts = [
        base.embed_phrases(descriptions[first : first + PHRASES], depths)
        for first in range(0, len(descriptions), PHRASES)
    ]
    longest = max(part.attention_mask.shape[1] for part in parts)
    missing = [longest - part.attention_mask.shape[1] for part in parts]
    return PhraseEmbeddings(
        torch.cat([F.pad(part.phrase_embeds, (0, 0, 0, n)) for part, n in zip(parts, missing, strict=True)]),
        torch.cat([F.pad(part.attention_mask, (0, n)) for part, n in zip(parts, missing, strict=True)]),
        torch.cat([part.eot_embeds for part in parts]),
    )
