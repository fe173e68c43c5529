"""SDXL's UNet in diffusers, with the adapter's layers where the release has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from layers import ROWS, Add, addition, boxes_of, fused_attention
from torch import Tensor

from ifadapter_core.geometry import build_geometry
from ifadapter_core.modules.attention import KeysValues
from ifadapter_core.packing import pack_instances

from .models import Sizes, fill, random_adapter

TOKENS = 13  # per instance


class Instances:
    """Keys, values and boxes of one layout, for both rows; placed on a grid when first needed."""

    def __init__(self, keys_values: dict[str, KeysValues], boxes: Tensor) -> None:
        self.keys_values, self.boxes = keys_values, boxes
        self.additions: dict[tuple[str, int], Add] = {}  # by layer and number of cells

    def addition(self, key: str, layer: Any, cells: int) -> Add:
        """What a layer adds, made once for each number of cells of the (square) grid."""
        if (key, cells) not in self.additions:
            side, keys_values = round(cells**0.5), self.keys_values[key]
            geometries = [build_geometry(self.boxes, side, side)] * ROWS
            strengths = [[1.0] * len(self.boxes)] * ROWS
            packed = pack_instances(geometries, strengths, keys_values.k.device)
            self.additions[key, cells] = addition(layer, keys_values, packed)
        return self.additions[key, cells]


class AdaptedUNet:
    """A UNet of random weights made on the device, its inputs, and an adapter."""

    def __init__(self, sizes: Sizes, device: torch.device, dtype: torch.dtype) -> None:
        from diffusers import UNet2DConditionModel

        with torch.device(device):
            self.unet = UNet2DConditionModel(
                **sizes.diffusers,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=256,
            ).to(dtype)
        fill(self.unet)
        self.adapter = random_adapter(sizes, device, dtype)
        self._device, self._dtype = device, dtype
        self._width = sizes.adapter.resampler.token_width
        self._instances: Instances | None = None
        cells = sizes.picture_px // 8
        self._inputs: dict[str, Any] = {
            "sample": self._random(ROWS, 4, cells, cells),
            "timestep": torch.full((ROWS,), 500.0, device=device),
            "encoder_hidden_states": self._random(ROWS, 77, sizes.text_width),
            "added_cond_kwargs": {
                "text_embeds": self._random(ROWS, sizes.pooled_width),
                "time_ids": torch.full((ROWS, 6), float(sizes.picture_px), device=device),
            },
        }
        processors = dict(self.unet.attn_processors)
        names = list(processors)
        for layer in sizes.adapter.layers:
            processors[names[layer.processor]] = _Processor(self, str(layer.processor))
        self.unet.set_attn_processor(processors)

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(shape, device=self._device, dtype=self._dtype)

    def instances(self, count: int) -> Instances:
        """``count`` medium boxes with random tokens."""
        tokens = self._random(ROWS * count, TOKENS, self._width)
        keys_values = {
            str(layer.processor): self.adapter.keys_values(str(layer.processor), tokens)
            for layer in self.adapter.config.layers
        }
        return Instances(keys_values, boxes_of("medium", count))

    def call(self, instances: Instances | None, probe: Callable[[Callable[[], Tensor]], Any]) -> Any:
        """Call ``probe`` with a UNet call; None: without the adapter. Returns the probe's result."""
        self._instances = instances
        return probe(lambda: self.unet(**self._inputs).sample)

    def add(self, key: str, q: Tensor, out: Tensor) -> Tensor:
        """Add what the layer ``key`` adds to its text cross attention."""
        if self._instances is None:
            return out
        return self._instances.addition(key, self.adapter.layers[key], q.shape[1])(q, out)


class _Processor:
    """diffusers' cross attention with torch's fused attention, and the adapter's addition."""

    def __init__(self, adapted: AdaptedUNet, key: str) -> None:
        self.adapted, self.key = adapted, key

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any) -> Tensor:
        q = attn.to_q(hidden_states)
        k, v = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        out = self.adapted.add(self.key, q, fused_attention(q, k, v, attn.heads))
        return attn.to_out[1](attn.to_out[0](out))
