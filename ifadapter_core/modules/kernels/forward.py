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
    tiles, flat, weights, packed = plan.packed.tiles, plan.flat, plan.weights, plan.packed
    q = q.contiguous()
    channels, hidden, tokens = q.shape[-1], weights.squeeze.shape[0], flat.k.shape[1]
    head_dim, size = channels // weights.heads, weights.kernel.shape[-1]
    entries, instances, (cells, depth) = len(tiles.cells), len(flat.k), tiles.places.shape
    count = len(tiles.owner)
    padded_depth = next(padded for padded in DEPTHS if padded >= depth)
    at_once = max(CELLS // padded_depth, 1)

    features = q.new_empty(entries, channels)
    lengths = (2 * count * channels, instances * channels, instances * hidden, 3 * entries)
    scratch = torch.empty(sum(lengths), dtype=torch.float32, device=q.device)
    partials, gates, activations, statistics = scratch.split(lengths)
    features_kernel[(count, weights.heads)](
        q,
        flat.k,
        flat.v,
        tiles.cells,
        tiles.first,
        tiles.first_tile,
        tiles.owner,
        features,
        partials,
        TOKENS=tokens,
        PADDED_TOKENS=_padded(tokens, SMALLEST),
        CHANNELS=channels,
        HEAD_DIM=head_dim,
        PADDED_HEAD_DIM=_padded(head_dim, SMALLEST),
        SCALE=1 / math.sqrt(head_dim),
        EPSILON=EPSILON,
        TILE=TILE,
    )
    squeeze_kernel[(instances, -(-hidden // ROWS))](
        partials,
        tiles.first,
        tiles.first_tile,
        weights.squeeze,
        weights.squeeze_bias,
        activations,
        packed.height * packed.width,
        CHANNELS=channels,
        HIDDEN=hidden,
        ROWS=ROWS,
        STEP=LONG_STEP,
        TILES=TILES,
        num_warps=8,
    )
    excite_kernel[(instances, -(-channels // SHORT_STEP))](
        activations,
        weights.excite,
        weights.excite_bias,
        gates,
        CHANNELS=channels,
        HIDDEN=hidden,
        PADDED_HIDDEN=_padded(hidden),
        STEP=SHORT_STEP,
    )
    statistics_kernel[(count, TILE // ROWS)](
        features,
        gates,
        weights.score,
        flat.score_gates,
        tiles.first,
        tiles.first_tile,
        tiles.owner,
        statistics,
        CHANNELS=channels,
        STEP=STEP,
        TILE=TILE,
        ROWS=ROWS,
    )
    mix_kernel[(-(-cells // at_once),)](
        features,
        statistics,
        tiles.entries,
        tiles.places,
        tiles.covered,
        plan.logits,
        flat.factors,
        weights.kernel,
        out,
        cells,
        depth,
        packed.height,
        packed.width,
        CHANNELS=channels,
        STEP=STEP,
        KERNEL=size,
        PADDED_TAPS=_padded(size * size),
        PADDED_DEPTH=padded_depth,
        CELLS=at_once,
    )
    return out


def _padded(size: int, smallest: int = 1) -> int:
    """The next power of two."""
    return max(1 << (size - 1).bit_length(), smallest)
