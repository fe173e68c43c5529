"""Queries that tell where they are: what an adapter needs to draw one part of a box differently from another."""

from __future__ import annotations

import math
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.hooks import RemovableHandle

WAVES = 4  # the shortest one is half a picture long


class PositionProbe(nn.Module):
    """The error of a linear reading of each cell's place from the queries of each cross-attention layer.

    The queries of a large text-to-image model tell the place of their cell. Those of a small one need not, as long as its
    captions name no places: then its boxes are filled evenly, whatever an adapter knows of them, because all of their cells
    ask the same. The readings are only there in training.

    Use it as a context around one call of the UNet, then ask for ``loss()``.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self._layers = [
            layer.get_submodule("to_q") for name, layer in unet.named_modules() if name.endswith("attn2")
        ]
        self.readings = nn.ModuleList(nn.Linear(layer.out_features, 2 * WAVES) for layer in self._layers)
        self._queries: dict[nn.Module, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> None:
        self._handles = [layer.register_forward_hook(self._keep) for layer in self._layers]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _keep(self, layer: nn.Module, _inputs: tuple[Tensor, ...], query: Tensor) -> None:
        self._queries[layer] = query

    def loss(self) -> Tensor:
        """Mean squared error over all layers, cells and waves; 0.5 when the queries tell nothing."""
        errors = []
        for layer, reading in zip(self._layers, self.readings, strict=True):
            query = self._queries.pop(layer)
            side = math.isqrt(query.shape[1])
            errors.append(
                mse_loss(reading(query).float(), waves(side).to(query.device).expand(len(query), -1, -1))
            )
        return torch.stack(errors).mean()


def waves(side: int) -> Tensor:
    """Where the cells of a square grid are, row by row, as cosines of 1 .. WAVES half waves in x and y: (side * side, 2 * WAVES)."""
    middle = (torch.arange(side) + 0.5) / side
    cosines = torch.cos(math.pi * middle[:, None] * torch.arange(1, WAVES + 1))
    rows = cosines[:, None].expand(side, side, WAVES)
    return torch.cat([rows.transpose(0, 1), rows], dim=-1).reshape(side * side, 2 * WAVES)
