"""The forward of an adapted layer in five launches. Equals ``attention.add_semantic_map``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...tiles import TILE
from ..norm import EPSILON
from ..plan import LayerPlan
from .features import excite_kernel, features_kernel, squeeze_kernel
from .fusion import mix_kernel, statistics_kernel

STEP = 128  # channels at a time
SHORT_STEP = 32  # the same where each has many weights
LONG_STEP = 256  # the same where a program waits for each step
DEPTHS = (1, 4, 16, 64)  # padded numbers of instances on a cell: few, since each is compiled
ROWS = 16  # hidden channels, or entries in the statistics, at a time
TILES = 16  # tiles at a time in the sums over tiles
CELLS = 16  # covered cells times instances at a time in the mixture
SMALLEST = 16  # of each side of a matrix product


def add_semantic_map(q: Tensor, plan: LayerPlan, out: Tensor) -> Tensor:
    """Add a layer's semantic map to out in place, without gradients, and return out.

    q: (R, h*w, C) float16, bfloat16 or float32. out: as q, contiguous.
    """
    launches = plan.kept.get("launches")
    if launches is None:
        launches = plan.kept["launches"] = Launches(plan)
    launches(q.contiguous(), out)
    return out


class Launches:
    """The five launches of one plan, with all that does not change between its calls.

    The CPU issues them while the GPU waits, so a call only allocates and launches.
    """

    def __init__(self, plan: LayerPlan) -> None:
        tiles, flat, weights, packed = plan.packed.tiles, plan.flat, plan.weights, plan.packed
        (hidden, channels), tokens = weights.squeeze.shape, flat.k.shape[1]
        head_dim, size = channels // weights.heads, weights.kernel.shape[-1]
        entries, instances, (cells, depth) = len(tiles.cells), len(flat.k), tiles.places.shape
        count = len(tiles.owner)
        padded_depth = next(padded for padded in DEPTHS if padded >= depth)
        at_once = max(CELLS // padded_depth, 1)

        self._features_shape = (entries, channels)
        self._lengths = (2 * count * channels, instances * channels, instances * hidden, 3 * entries)
        self._scratch = sum(self._lengths)
        places = (tiles.first, tiles.first_tile, tiles.owner)
        self._features = features_kernel[(count, weights.heads)]
        self._features_inputs = (flat.k, flat.v, tiles.cells, *places)
        self._features_constants = {
            "TOKENS": tokens,
            "PADDED_TOKENS": _padded(tokens, SMALLEST),
            "CHANNELS": channels,
            "HEAD_DIM": head_dim,
            "PADDED_HEAD_DIM": _padded(head_dim, SMALLEST),
            "SCALE": 1 / math.sqrt(head_dim),
            "EPSILON": EPSILON,
            "TILE": TILE,
        }
        self._squeeze = squeeze_kernel[(instances, -(-hidden // ROWS))]
        self._squeeze_inputs = (tiles.first, tiles.first_tile, weights.squeeze, weights.squeeze_bias)
        self._grid_cells = packed.height * packed.width
        self._squeeze_constants = {
            "CHANNELS": channels,
            "HIDDEN": hidden,
            "ROWS": ROWS,
            "STEP": LONG_STEP,
            "TILES": TILES,
            "num_warps": 8,
        }
        self._excite = excite_kernel[(instances, -(-channels // SHORT_STEP))]
        self._excite_inputs = (weights.excite, weights.excite_bias)
        self._excite_constants = {
            "CHANNELS": channels,
            "HIDDEN": hidden,
            "PADDED_HIDDEN": _padded(hidden),
            "STEP": SHORT_STEP,
        }
        self._statistics = statistics_kernel[(count, TILE // ROWS)]
        self._statistics_inputs = (weights.score, flat.score_gates, *places)
        self._statistics_constants = {"CHANNELS": channels, "STEP": STEP, "TILE": TILE, "ROWS": ROWS}
        self._mix = mix_kernel[(-(-cells // at_once),)]
        self._mix_inputs = (
            tiles.entries,
            tiles.places,
            tiles.covered,
            plan.logits,
            flat.factors,
            weights.kernel,
        )
        self._mix_sizes = (cells, depth, packed.height, packed.width)
        self._mix_constants = {
            "CHANNELS": channels,
            "STEP": STEP,
            "KERNEL": size,
            "PADDED_TAPS": _padded(size * size),
            "PADDED_DEPTH": padded_depth,
            "CELLS": at_once,
        }

    def __call__(self, q: Tensor, out: Tensor) -> None:
        """See ``add_semantic_map``. q: contiguous."""
        features = q.new_empty(self._features_shape)
        scratch = torch.empty(self._scratch, dtype=torch.float32, device=q.device)
        partials, gates, hidden, statistics = scratch.split(self._lengths)
        self._features(q, *self._features_inputs, features, partials, **self._features_constants)
        self._squeeze(partials, *self._squeeze_inputs, hidden, self._grid_cells, **self._squeeze_constants)
        self._excite(hidden, *self._excite_inputs, gates, **self._excite_constants)
        self._statistics(features, gates, *self._statistics_inputs, statistics, **self._statistics_constants)
        self._mix(features, statistics, *self._mix_inputs, out, *self._mix_sizes, **self._mix_constants)


def _padded(size: int, smallest: int = 1) -> int:
    """The next power of two."""
    return max(1 << (size - 1).bit_length(), smallest)
