"""Training of an IFAdapter on a frozen base model."""

from __future__ import annotations

import json
from collections.abc import Sequence
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

from .config import AdapterLoss, AdapterShape


class LayoutBatch(NamedTuple):
    """B pictures, as latents or as pixels, with their layouts.

    layouts: B layouts of one canvas size.
    latents: (B, C, h, w), scaled, or None.
    images: (B, 3, H, W) in -1..1; used if there are no latents.
    """

    layouts: list[Layout]
    latents: Tensor | None = None
    images: Tensor | None = None


def adapter_config(unet: UNet2DConditionModel, text_width: int, shape: AdapterShape) -> IFAdapterConfig:
    """The config of a new adapter for a UNet.

    Raises ValueError if the text encoder does not fit the UNet, or a block has no cross attention.
    """
    token_width = unet.config["cross_attention_dim"]
    if token_width != text_width:
        raise ValueError(
            f"The UNet reads {token_width}-wide text features and the text encoders give {text_width}: "
            "they must be the same."
        )

    # Choose the cross-attention layers, identified by their index among the UNet's processors.
    layers, found = [], set()
    for index, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        transformer_block = int(name.split("transformer_blocks.")[1].split(".")[0])
        blocks = [block for block in shape.blocks if name.startswith(f"{block}.")]
        if name.endswith("attn2.processor") and blocks and transformer_block < shape.transformer_blocks:
            found.update(blocks)
            width = attention.to_q.out_features
            layers.append(
                LayerConfig(
                    processor=index,
                    heads=attention.heads,
                    head_dim=width // attention.heads,
                    token_width=token_width,
                    gate_width=max(width // shape.gate_reduction, 1),
                    gate_kernel=shape.gate_kernel,
                )
            )
    if missing := [block for block in shape.blocks if block not in found]:
        raise ValueError(f"The UNet has no cross attention in the blocks {', '.join(missing)}.")

    resampler = ResamplerConfig(
        text_width=text_width,
        width=shape.width,
        token_width=token_width,
        queries=shape.queries,
        layers=shape.resampler_layers,
        heads=shape.heads,
        head_dim=shape.width // shape.heads,
        mlp_width=4 * shape.width,
    )
    return IFAdapterConfig(
        resampler,
        PositionConfig(shape.frequencies, shape.position_width, token_width),
        tuple(layers),
        Settings(shape.text_depths, shape.slots, "gate_before_softmax", shape.cumulative_mask),
    )


@torch.no_grad()
def initialize_from(unet: UNet2DConditionModel, adapter: IFAdapter, alpha: float) -> None:
    """Copy the UNet's text projections into the adapter, and set its gates.

    As in IP-Adapter (Ye et al. 2023, section 3.2).
    """
    names = list(unet.attn_processors)
    for layer in adapter.config.layers:
        attention = unet.get_submodule(names[layer.processor].removesuffix(".processor"))
        projection: Any = adapter.projections[str(layer.processor)]
        adapted: Any = adapter.layers[str(layer.processor)]
        projection.to_k_ap.weight.copy_(attention.to_k.weight)
        projection.to_v_ap.weight.copy_(attention.to_v.weight)
        nn.init.constant_(adapted.alpha, alpha)


class InstanceDenoising(nn.Module):
    """The base model's denoising loss with an adapter in the UNet. Only the adapter is trained."""

    def __init__(self, base: BaseModel, adapter: IFAdapter, loss: AdapterLoss) -> None:
        super().__init__()
        self.base = base
        self.adapted = AdaptedUNet(base.unet, adapter)
        self.loss = loss

    def forward(self, batch: LayoutBatch, generator: torch.Generator) -> Tensor:
        """B pictures -> loss ().

        Each picture has ``loss.noises`` adjacent rows with different noise.
        """
        base, noises = self.base, self.loss.noises

        # Condition dropout, for classifier-free guidance.
        chances = torch.rand(2, len(batch.layouts), generator=generator, device=generator.device)
        drop_local = (chances[0] < self.loss.drop_local).tolist()
        drop_global = (chances[1] < self.loss.drop_global).tolist()
        captions = [
            "" if drop else layout.caption for layout, drop in zip(batch.layouts, drop_global, strict=True)
        ]
        conditioning = base.condition(captions, canvas_of(batch.layouts)).repeat(noises)
        groups = training_groups(self.adapted.adapter, base, batch.layouts, drop_local, noises)

        # Noise, and its prediction.
        latents = self._latents(batch)
        noisy, timesteps, target = add_noise(
            base.scheduler, latents.repeat_interleave(noises, dim=0), generator, self.loss.middle
        )
        prediction = self.adapted(noisy.to(base.unet.dtype), timesteps, conditioning, groups).float()

        # Weighted mean of the squared error.
        height, width = latents.shape[-2:]
        weights = box_weights(batch.layouts, height, width, self.loss.box_weight)
        weights = weights.to(base.device).repeat_interleave(noises, dim=0)
        loss = ((prediction - target).square().mean(dim=1) * weights).sum() / weights.sum()
        if not groups:  # DDP waits for a gradient of every weight
            loss = loss + 0 * sum(weight.sum() for weight in self.adapted.adapter.parameters())
        return loss

    def _latents(self, batch: LayoutBatch) -> Tensor:
        if batch.latents is not None:
            return batch.latents.to(self.base.device)
        assert batch.images is not None
        return self.base.encode(batch.images)


def training_groups(
    adapter: IFAdapter, base: BaseModel, layouts: Sequence[Layout], dropped: Sequence[bool], copies: int
) -> list[RowGroup]:
    """The instances of each picture, each repeated in ``copies`` adjacent rows of the batch.

    dropped: pictures with null tokens in place of their local descriptions; their boxes stay.
    """
    if not any(layout.instances for layout in layouts):
        return []
    boxes = [torch.tensor(layout.boxes).reshape(-1, 4) for layout in layouts]
    counts = [len(part) for part in boxes]
    phrases = base.embed_phrases(
        [text for layout in layouts for text in layout.local_descriptions],
        adapter.config.settings.text_depths,
    )

    # Null condition: zero embeddings and an all-zero attention mask.
    described = torch.tensor(
        [not drop for drop, count in zip(dropped, counts, strict=True) for _ in range(count)],
        device=base.device,
    )
    phrases = PhraseEmbeddings(
        phrases.phrase_embeds * described[:, None, None, None],
        phrases.attention_mask * described[:, None],
        phrases.eot_embeds * described[:, None],
    )

    tokens = adapter(phrases, torch.cat(boxes).to(base.device)).split(counts)
    return [
        RowGroup(
            rows=tuple(range(number * copies, (number + 1) * copies)),
            tokens=part.expand(copies, -1, -1, -1),
            boxes=box,
            strengths=(1.0,) * len(box),
        )
        for number, (part, box) in enumerate(zip(tokens, boxes, strict=True))
    ]


def box_weights(layouts: Sequence[Layout], height: int, width: int, inside: float) -> Tensor:
    """``inside`` on the latent cells of all boxes and 1 elsewhere: (B, height, width)."""
    weights = torch.ones(len(layouts), height, width)
    for number, layout in enumerate(layouts):
        for box in layout.boxes:
            cells = cell_range(box, height, width)
            weights[number, cells.rows, cells.columns] = inside
    return weights


class AdapterStage:
    """The training stage of an adapter (see ``loop.Stage``).

    batches: index -> ``LayoutBatch``, deterministic.
    held_out: layouts of the sample sheets.
    guidance: scale of the classifier-free guidance on the sample sheets.
    settings: of the run, as JSON; they go into the metadata of the saved weights.
    """

    settings: dict[str, Any] | None = None

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
        initialize_from(base.unet, self.adapter, shape.alpha)
        self.objective = InstanceDenoising(base, self.adapter, loss)
        self.batches: Dataset[Any] = batches
        self.held_out = list(held_out)
        self.guidance = guidance

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """Two rows: the held-out layouts, and the adapter's pictures of them."""
        pictures = sample_layouts(
            self.objective.adapted, self.base, self.held_out, generator, STEPS, self.guidance
        )
        size = (pictures.shape[-1], pictures.shape[-2])
        layouts = [layout_picture(layout, size) for layout in self.held_out]
        return grid([layouts, [to_image(picture) for picture in pictures]])

    def save(self, folder: Path) -> None:
        """Write ``ifadapter.safetensors`` in float32, for the node Load IFAdapter."""
        folder.mkdir(exist_ok=True)
        state = self.adapter.state_dict().items()
        tensors = {name: tensor.detach().float().cpu() for name, tensor in state}
        metadata = {"training": json.dumps(self.settings)} if self.settings else None
        weights = AdapterWeights(self.adapter.config, tensors)
        save_weights(weights, folder / "ifadapter.safetensors", metadata)
