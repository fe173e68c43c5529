"""The loss by band of timesteps."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

BANDS = 4


class BandLosses:
    """Sums of losses by band of timesteps, on the device of the losses.

    timesteps: of the noise schedule. The bands divide them evenly.
    """

    def __init__(self, timesteps: int) -> None:
        self.timesteps = timesteps
        self._sums: Tensor | None = None

    @torch.no_grad()
    def add(self, timesteps: Tensor, losses: Tensor) -> None:
        """Add rows: timesteps (R,) int64, losses (R,). Losses that are not finite are left out."""
        finite = losses.isfinite()
        rows = torch.stack([losses.where(finite, 0.0).float(), finite.float()])
        sums = torch.zeros(2, BANDS, device=losses.device)
        sums.index_add_(1, timesteps * BANDS // self.timesteps, rows)
        self._sums = sums if self._sums is None else self._sums + sums

    def take(self) -> Tensor:
        """Sums and numbers of the rows since the last call: float32 (2, BANDS)."""
        sums, self._sums = self._sums, None
        return torch.zeros(2, BANDS) if sums is None else sums

    def names(self) -> list[str]:
        """A name for each band, such as ``t000-249``; 0 is the timestep with the least noise."""
        edges = [number * self.timesteps // BANDS for number in range(BANDS + 1)]
        digits = len(str(self.timesteps - 1))
        return [f"t{low:0{digits}}-{high - 1:0{digits}}" for low, high in pairwise(edges)]


def band_means(sums: Tensor, names: list[str]) -> dict[str, float]:
    """Sums and numbers (2, BANDS) -> the mean loss of each band that has rows, by name."""
    values, counts = sums.tolist()
    return {name: value / count for name, value, count in zip(names, values, counts, strict=True) if count}
