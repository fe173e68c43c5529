"""The stages of the UNet and the adapter on a pool: their steps do no work for single pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ifadapter_core.layout import Layout
from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.base_model import BaseModel, Conditioning
from ifadapter_diffusers.sampling import add_noise
from ifadapter_diffusers.text import token_ids
from training.adapter_stage import AdapterStage
from training.config import AdapterConfig, AdapterLoss
from training.objective.weights import snr_weights

from ..sampler import World
from .graphed_loss import GraphedLoss
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
        self.graphed_loss = GraphedLoss(self, self.prediction_loss)

    def forward(self, batch: Any, generator: torch.Generator) -> Tensor:
        return self.graphed_loss(*self.noisy_inputs(batch, generator))

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
        self.graphed_loss = GraphedLoss(self, self.prediction_loss)

    def forward(self, batch: PoolBatch, generator: torch.Generator) -> Tensor:
        """B pictures -> loss (). Each has ``loss.noises`` adjacent rows with different noise."""
        # Condition dropout, for classifier-free guidance.
        chances = torch.rand(3, len(batch.latents), generator=generator, device=generator.device)
        described = chances[0] >= self.loss.drop_local
        kinds = (chances[1] < FULL_CAPTIONS).long()  # CAPTIONS: global, full
        kinds = torch.where(chances[2] < self.loss.drop_global, -1, kinds)
        ids = chosen_captions(batch.captions, kinds, self.empty)

        latents = _copies(batch.latents, self.loss.noises)
        noise = add_noise(self.base.scheduler, latents, generator, self.loss.middle, self.loss.noise_offset)
        levels = snr_weights(self.base.scheduler, noise[1], self.loss.snr_gamma)
        return self.graphed_loss(
            *noise, levels, ids, batch.boxes, batch.present, batch.descriptions, described
        )

    def prediction_loss(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        target: Tensor,
        levels: Tensor,
        ids: Tensor,
        boxes: Tensor,
        present: Tensor,
        descriptions: Tensor,
        described: Tensor,
    ) -> Tensor:
        """The weighted mean () of the squared error of the prediction from noisy latents.

        noisy, timesteps, target: of B * noises rows, see ``add_noise``.
        levels: (B * noises,) weights of the rows, see ``snr_weights``.
        ids: (B, 77) token ids of the captions.
        boxes, present, descriptions: see ``PoolBatch``.
        described: bool (B,), False for pictures with null tokens.
        """
        noises = self.loss.noises
        with torch.no_grad():
            states = self.base.text_encoders[0](ids).last_hidden_state
        tokens = self.instance_tokens(boxes, descriptions, described)
        slots = Slots(*(_copies(part, noises) for part in (tokens, boxes, present)))
        prediction = self.adapted.denoise(noisy, timesteps, Conditioning(_copies(states, noises)), slots)

        height, width = noisy.shape[-2:]
        inside = (covered_cells(slots.boxes, height, width) & slots.present[..., None]).any(dim=1)
        weights = 1 + (self.loss.box_weight - 1) * inside.float().unflatten(1, (height, width))
        errors = (prediction.float() - target).square().mean(dim=1) * weights
        return (errors * levels[:, None, None]).sum() / weights.sum()

    def instance_tokens(self, boxes: Tensor, descriptions: Tensor, described: Tensor) -> Tensor:
        """Instance tokens of all slots (B, S, M, D)."""
        numbers = descriptions.flatten()
        kept = _copies(described, descriptions.shape[1])
        phrases = PhraseEmbeddings(
            self.phrase_embeds[numbers] * kept[:, None, None, None],
            self.attention_mask[numbers] * kept[:, None],
            self.eot_embeds[numbers] * kept[:, None],
        )
        return self.adapted.adapter(phrases, boxes.flatten(0, 1)).unflatten(0, descriptions.shape)


def _copies(rows: Tensor, count: int) -> Tensor:
    """Each row ``count`` times in turn."""
    return rows[:, None].expand(-1, count, *rows.shape[1:]).flatten(0, 1)


class PoolAdapterStage(AdapterStage):
    """The stage of an adapter on a pool.

    unet: the UNet with the adapter. objective: its loss.
    """

    def __init__(
        self,
        base: BaseModel,
        config: AdapterConfig,
        tensors: PoolTensors,
        held_out: Sequence[Layout],
        unet: type[SlotUNet] = SlotUNet,
        objective: Callable[..., SlotDenoising] = SlotDenoising,
    ) -> None:
        batches: Any = PoolBatches(tensors, config.batch_size, config.loop.seed)
        super().__init__(base, config.shape, config.loss, batches, held_out, guidance=config.guidance)
        phrases = embed_all(base, tensors.descriptions, config.shape.text_depths)
        adapted = unet(base.unet, self.adapter)
        self.objective: Any = objective(base, adapted, config.loss, phrases)


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
