"""The demo's CLIP: a text encoder that is trained beside a small picture encoder, which is thrown away (Radford et al. 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from .dataset import Batch, PictureBatches, Pictures
from .scene import Scene
from .sheet import similarity_sheet
from .vocabulary import LENGTH, token_ids
from .world import HELD_OUT, World

WIDTH = 96
PART_SIZE = 48  # pixels to which the picture encoder gets pictures and the figures cut out of them


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=6,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)


class PictureEncoder(nn.Sequential):
    """Pictures (B, 3, 48, 48) -> (B, WIDTH)."""

    def __init__(self) -> None:
        widths = (3, 32, 64, 128, 192)
        stages = [
            layer
            for before, after in zip(widths, widths[1:], strict=False)
            for layer in (nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU(), nn.Conv2d(after, after, 3, 1, 1), nn.SiLU())
        ]
        super().__init__(*stages, nn.Flatten(), nn.Linear(widths[-1] * 9, WIDTH))


class Contrast(nn.Module):
    """Pictures know the prompts that tell all of them, and figures their local descriptions, among all of the batch."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.text_encoder = new_text_encoder(tokenizer)
        self.picture_encoder = PictureEncoder()
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        prompts = [scene.layout.prompt for scene in batch.scenes]
        pictures = F.interpolate(batch.images, size=PART_SIZE, mode="area")
        figures = [figure for scene in batch.scenes for figure in scene.figures]
        parts = torch.cat([cut_out(image, scene) for image, scene in zip(batch.images, batch.scenes, strict=True)])
        alike = torch.tensor([[a.attributes == b.attributes for b in figures] for a in figures], device=self.log_scale.device)
        whole = contrastive_loss(self.similarity(pictures, prompts), torch.eye(len(prompts), device=alike.device))
        return whole + contrastive_loss(self.similarity(parts, [figure.local_description for figure in figures]), alike.float())

    def similarity(self, pictures: Tensor, texts: list[str]) -> Tensor:
        """(P, 3, 48, 48) and T texts -> scaled cosines (P, T)."""
        device = self.log_scale.device
        text = self.text_encoder(token_ids(self.tokenizer, texts).to(device)).text_embeds
        picture = self.picture_encoder(pictures.to(device))
        return self.log_scale.exp().clamp(max=100) * F.normalize(picture.float(), dim=-1) @ F.normalize(text.float(), dim=-1).T


def contrastive_loss(similarity: Tensor, alike: Tensor) -> Tensor:
    """Cross entropy both ways; alike (P, T) is 1 where a text fits a picture, which more than one may do."""
    rows = F.cross_entropy(similarity, alike / alike.sum(1, keepdim=True))
    columns = F.cross_entropy(similarity.T, alike.T / alike.T.sum(1, keepdim=True))
    return (rows + columns) / 2


def cut_out(image: Tensor, scene: Scene) -> Tensor:
    """The boxes of all figures of a picture (3, H, W), stretched to one size: (N, 3, 48, 48)."""
    boxes = (figure.box_px for figure in scene.figures)
    parts = [
        F.interpolate(image[None, :, y0:y1, x0:x1], size=(PART_SIZE, PART_SIZE), mode="bilinear", antialias=True)
        for x0, y0, x1, y1 in boxes
    ]
    return torch.cat(parts)


class TextEncoderStage:
    def __init__(self, world: World, tokenizer: CLIPTokenizer, batch_size: int) -> None:
        self.objective = Contrast(tokenizer)
        self.batches: Dataset[Any] = PictureBatches(Pictures(world), batch_size)
        self.held_out = PictureBatches(Pictures(world, HELD_OUT), 8)

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """How similar pictures that were held out are to each other's captions."""
        batch = self.held_out[0]
        figures = [figure.local_description for scene in batch.scenes for figure in scene.figures]
        parts = torch.cat([cut_out(image, scene) for image, scene in zip(batch.images, batch.scenes, strict=True)])
        return similarity_sheet(self.objective.similarity(parts, figures).softmax(dim=0), figures)

    def save(self, folder: Path) -> None:
        self.objective.text_encoder.save_pretrained(folder)
