"""Training of an IFAdapter on a frozen base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import AdapterWeights
from ifadapter_core.config import IFAdapterConfig, LayerConfig, PositionConfig, ResamplerConfig, Settings
from ifadapter_core.geometry import cell_range
from ifadapter_core.layout import Layout
from ifadapter_core.previews import layout_picture
from ifadapter_core.storage import save_weights
from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.adapted_unet import AdaptedUNet, RowGroup
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.contact_sheet import grid, to_image
from ifadapter_diffusers.sampling import GUIDANCE, STEPS, add_noise, canvas_of, sample_layouts


class LayoutBatch(NamedTuple):
    """latents (B, C, h, w), scaled, or None where ``images`` (B, 3, H, W) in -1..1 are given. One layout for each picture."""

    layouts: list[Layout]
    latents: Tensor | None = None
    images: Tensor | None = None


@dataclass(frozen=True)
class AdapterShape:
    """Which cross-attention layers of a UNet are adapted, and how large the parts are.

    blocks: names of diffusers' blocks, as ``mid_block`` or ``up_blocks.0``; ``transformer_blocks`` of each transformer there.
    alpha: where the gate of each layer starts, tanh(alpha); 0 = the base model as it is, which is gentle but slow to leave.
    """

    blocks: tuple[str, ...]
    transformer_blocks: int
    width: int
    heads: int
    resampler_layers: int
    queries: int
    frequencies: int
    position_width: int
    gate_reduction: int = 16
    gate_kernel: int = 7
    text_depths: tuple[int, ...] = (-2, -4, -6)
    slots: int = 10
    cumulative_mask: bool = False
    alpha: float = 0.0


@dataclass(frozen=True)
class AdapterLoss:
    """The loss is the base model's own (paper, section 4).

    drop_local, drop_global: how often a picture loses its local descriptions (the null condition: no words, the boxes kept),
    and its caption. box_weight: of the loss inside boxes, where it is 1 outside. noises: different noises for each picture.
    middle: where most of the noises lie (see ``add_noise``); None = all timesteps are as likely, as in the paper.
    """

    drop_local: float = 0.15
    drop_global: float = 0.3
    box_weight: float = 1.0
    noises: int = 1
    middle: float | None = None


def adapter_config(unet: UNet2DConditionModel, text_width: int, shape: AdapterShape) -> IFAdapterConfig:
    """The config of a new adapter for a UNet."""
    token_width = unet.config["cross_attention_dim"]
    if token_width != text_width:
        raise ValueError(
            f"The UNet reads {token_width}-wide text features and the text encoders give {text_width}: they must be the same."
        )
    layers, found = [], set()
    for index, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        block = int(name.split("transformer_blocks.")[1].split(".")[0])
        parts = [part for part in shape.blocks if name.startswith(f"{part}.")]
        if name.endswith("attn2.processor") and parts and block < shape.transformer_blocks:
            found.update(parts)
            width = attention.to_q.out_features
            gate_width = max(width // shape.gate_reduction, 1)
            layers.append(
                LayerConfig(
                    index,
                    attention.heads,
                    width // attention.heads,
                    token_width,
                    gate_width,
                    shape.gate_kernel,
                )
            )
    if missing := [part for part in shape.blocks if part not in found]:
        raise ValueError(f"The UNet has no cross attention in the blocks {', '.join(missing)}.")
    return IFAdapterConfig(
        ResamplerConfig(
            text_width,
            shape.width,
            token_width,
            shape.queries,
            shape.resampler_layers,
            shape.heads,
            shape.width // shape.heads,
            4 * shape.width,
        ),
        PositionConfig(shape.frequencies, shape.position_width, token_width),
        tuple(layers),
        Settings(shape.text_depths, shape.slots, "gate_before_softmax", shape.cumulative_mask),
    )


@torch.no_grad()
def start_from(unet: UNet2DConditionModel, adapter: IFAdapter, alpha: float) -> None:
    """Let the layers of a new adapter read tokens as those of the UNet read text (as in IP-Adapter, Ye et al. 2023, section 3.2)."""
    names = list(unet.attn_processors)
    for layer in adapter.config.layers:
        attention = unet.get_submodule(names[layer.processor].removesuffix(".processor"))
        projection = adapter.projections[str(layer.processor)]
        projection.to_k_ap.weight.copy_(attention.to_k.weight)
        projection.to_v_ap.weight.copy_(attention.to_v.weight)
        nn.init.constant_(adapter.layers[str(layer.processor)].alpha, alpha)


class InstanceDenoising(nn.Module):
    """The base model's loss with an adapter in it; only the adapter is trained."""

    def __init__(self, base: BaseModel, adapter: IFAdapter, loss: AdapterLoss) -> None:
        super().__init__()
        self.base = base
        self.adapted = AdaptedUNet(base.unet, adapter)
        self.loss = loss

    def forward(self, batch: LayoutBatch, generator: torch.Generator) -> Tensor:
        base, copies = self.base, self.loss.noises
        chance = torch.rand(2, len(batch.layouts), generator=generator)
        drops_local, drops_global = (
            (chance[0] < self.loss.drop_local).tolist(),
            (chance[1] < self.loss.drop_global).tolist(),
        )
        captions = [
            "" if dropped else layout.caption
            for layout, dropped in zip(batch.layouts, drops_global, strict=True)
        ]
        conditioning = base.condition(captions, canvas_of(batch.layouts)).repeat(copies)
        groups = training_groups(self.adapted.adapter, base, batch.layouts, drops_local, copies)
        latents = base.encode(batch.images) if batch.latents is None else batch.latents.to(base.device)
        noisy, timesteps, target = add_noise(
            base.scheduler, latents.repeat_interleave(copies, dim=0), generator, self.loss.middle
        )
        prediction = self.adapted(noisy.to(base.unet.dtype), timesteps, conditioning, groups).float()
        weights = box_weights(batch.layouts, latents.shape[-2], latents.shape[-1], self.loss.box_weight)
        weights = weights.to(base.device).repeat_interleave(copies, dim=0)
        loss = ((prediction - target).square().mean(dim=1) * weights).sum() / weights.sum()
        if not groups:  # a step of several processes waits for a gradient of every weight
            loss = loss + 0 * sum(weight.sum() for weight in self.adapted.adapter.parameters())
        return loss


def training_groups(
    adapter: IFAdapter, base: BaseModel, layouts: Sequence[Layout], dropped: Sequence[bool], copies: int
) -> list[RowGroup]:
    """The instances of each picture, whose copies are neighbouring rows. A picture that lost its words keeps its boxes."""
    if not any(layout.instances for layout in layouts):
        return []
    boxes = [torch.tensor(layout.boxes).reshape(-1, 4) for layout in layouts]
    counts = [len(part) for part in boxes]
    phrases = base.embed_phrases(
        [text for layout in layouts for text in layout.local_descriptions],
        adapter.config.settings.text_depths,
    )
    kept = torch.tensor(
        [not drop for drop, count in zip(dropped, counts, strict=True) for _ in range(count)],
        device=base.device,
    )
    words = PhraseEmbeddings(
        phrases.phrase_embeds * kept[:, None, None, None],
        phrases.attention_mask * kept[:, None],
        phrases.eot_embeds * kept[:, None],
    )
    tokens = adapter(words, torch.cat(boxes).to(base.device)).split(counts)
    return [
        RowGroup(
            tuple(range(number * copies, (number + 1) * copies)),
            part.expand(copies, -1, -1, -1),
            box,
            (1.0,) * len(box),
        )
        for number, (part, box) in enumerate(zip(tokens, boxes, strict=True))
    ]


def box_weights(layouts: Sequence[Layout], height: int, width: int, inside: float) -> Tensor:
    """``inside`` on the cells of all boxes and 1 elsewhere: (B, height, width)."""
    weights = torch.ones(len(layouts), height, width)
    for number, layout in enumerate(layouts):
        for box in layout.boxes:
            cells = cell_range(box, height, width)
            weights[number, cells.rows, cells.columns] = inside
    return weights


class AdapterStage:
    """held_out: layouts of the sample sheets, whose pictures are drawn with ``guidance``."""

    def __init__(
        self,
        base: BaseModel,
        shape: AdapterShape,
        loss: AdapterLoss,
        batches: Dataset[LayoutBatch],
        held_out: Sequence[Layout],
        gradient_checkpointing: bool = False,
        guidance: float = GUIDANCE,
    ) -> None:
        if gradient_checkpointing:
            base.unet.enable_gradient_checkpointing()
        self.base = base
        self.adapter = IFAdapter(adapter_config(base.unet, base.text_width, shape))
        start_from(base.unet, self.adapter, shape.alpha)
        self.objective = InstanceDenoising(base, self.adapter, loss)
        self.batches: Dataset[Any] = batches
        self.held_out = list(held_out)
        self.guidance = guidance

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """Layouts above, what the adapter makes of them below."""
        pictures = sample_layouts(
            self.objective.adapted, self.base, self.held_out, generator, STEPS, self.guidance
        )
        size = (pictures.shape[-1], pictures.shape[-2])
        drawn = [layout_picture(layout).resize(size) for layout in self.held_out]
        return grid([drawn, [to_image(picture) for picture in pictures]])

    def save(self, folder: Path) -> None:
        """``ifadapter.safetensors``, which the node Load IFAdapter loads."""
        folder.mkdir(exist_ok=True)
        tensors = {name: tensor.detach().float().cpu() for name, tensor in self.adapter.state_dict().items()}
        save_weights(AdapterWeights(self.adapter.config, tensors), folder / "ifadapter.safetensors")
