"""Auxiliary loss: predict the cell's position from its cross-attention query."""

from __future__ import annotations

import math
from functools import lru_cache
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.hooks import RemovableHandle

CPU = torch.device("cpu")
WAVES = 4  # cosines per axis; the shortest wavelength is half the picture


class PositionProbe(nn.Module):
    """Linear probes that predict each cell's position from its query, one per cross-attention layer.

    An adapter can draw the parts of a box differently only if queries depend on position. Those of
    large text-to-image models do. A small model whose captions name no positions may learn queries
    without it, and its boxes are then filled evenly. The probes are used in training only.

    Enter the probe as a context around one call of the UNet, then call ``loss``.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self._layers = [
            layer.get_submodule("to_q") for name, layer in unet.named_modules() if name.endswith("attn2")
        ]
        self.probes = nn.ModuleList(nn.Linear(layer.out_features, 2 * WAVES) for layer in self._layers)
        self._queries: dict[nn.Module, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> None:
        self._handles = [layer.register_forward_hook(self._record) for layer in self._layers]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _record(self, layer: nn.Module, _inputs: tuple[Tensor, ...], query: Tensor) -> None:
        self._queries[layer] = query

    def loss(self) -> Tensor:
        """Mean squared error over layers, cells and waves; 0.5 if queries carry no position."""
        errors = []
        for layer, probe in zip(self._layers, self.probes, strict=True):
            query = self._queries.pop(layer)  # (B, side * side, C)
            side = math.isqrt(query.shape[1])
            target = position_waves(side, query.device).expand(len(query), -1, -1)
            errors.append(mse_loss(probe(query).float(), target))
        return torch.stack(errors).mean()


@lru_cache(maxsize=16)
def position_waves(side: int, device: torch.device = CPU) -> Tensor:
    """Positions of the cells of a square grid, row by row: (side * side, 2 * WAVES).

    Cosines of 1 .. WAVES half waves over the picture, in x, then in y.
    """
    centers = (torch.arange(side) + 0.5) / side
    cosines = torch.cos(math.pi * centers[:, None] * torch.arange(1, WAVES + 1))
    in_y = cosines[:, None].expand(side, side, WAVES)
    waves = torch.cat([in_y.transpose(0, 1), in_y], dim=-1).reshape(side * side, 2 * WAVES)
    return waves.to(device)
