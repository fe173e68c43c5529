"""Kernels 4 and 5: statistics of each entry over its channels, then the mixture on each covered cell.

Letters in shapes: C as in ``plan.py``, D, J, T, U and V as in ``tiles.py``; K size of the spatial
attention. Names in capitals are compile-time constants; tiles and padded sizes are powers of two.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def statistics_kernel(
    features,
    gates,
    score,
    score_gates,
    first,
    first_tile,
    owner,
    statistics,
    CHANNELS: tl.constexpr,
    STEP: tl.constexpr,
    TILE: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Maximum, mean and importance over the gated channels of ROWS entries of a tile.

    Programs: (T, TILE / ROWS). features (V, C), gates (J, C), score (C,), score_gates (J,) factor on
    the importance. STEP: channels at a time. Writes statistics (V, 3) float32.
    """
    tile = tl.program_id(0)
    instance = tl.load(owner + tile)
    start = tl.load(first + instance) + (tile - tl.load(first_tile + instance)) * TILE
    entry = start + tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    is_entry = entry < tl.load(first + instance + 1)
    peak = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    importance = tl.zeros((ROWS,), tl.float32)
    for low in tl.static_range(0, CHANNELS, STEP):
        channel = low + tl.arange(0, STEP)
        is_channel = channel < CHANNELS
        at = features + entry.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        x = tl.load(at, mask=is_entry[:, None] & is_channel[None, :], other=0.0).to(tl.float32)
        x *= tl.load(gates + instance * CHANNELS + channel, mask=is_channel, other=0.0)[None, :]
        peak = tl.maximum(peak, tl.max(tl.where(is_channel[None, :], x, float("-inf")), axis=1))
        total += tl.sum(x, axis=1)
        importance += tl.sum(x * tl.load(score + channel, mask=is_channel, other=0.0)[None, :], axis=1)
    at = statistics + entry * 3
    tl.store(at, peak, mask=is_entry)
    tl.store(at + 1, total / CHANNELS, mask=is_entry)
    tl.store(at + 2, importance * tl.load(score_gates + instance), mask=is_entry)


@triton.jit(do_not_specialize=["count", "depth", "height", "width"])
def mix_kernel(
    features,
    statistics,
    entries,
    places,
    covered,
    logits,
    factors,
    kernel,
    out,
    count,
    depth,
    height,
    width,
    CHANNELS: tl.constexpr,
    STEP: tl.constexpr,
    KERNEL: tl.constexpr,
    PADDED_TAPS: tl.constexpr,
    PADDED_DEPTH: tl.constexpr,
    CELLS: tl.constexpr,
):
    """Spatial attention, softmax over the instances of each cell, and their weighted sum.

    Programs: (U / CELLS,). statistics (V, 3), logits and factors (U, D + 1), kernel (2, K, K).
    count, depth, height, width: U, D, and the grid in cells. STEP: channels at a time.
    Adds to out (R * h*w, C).
    """
    cell = tl.program_id(0) * CELLS + tl.arange(0, CELLS)
    rank = tl.arange(0, PADDED_DEPTH)
    is_cell = cell < count
    inside = is_cell[:, None] & (rank < depth)[None, :]
    place = tl.load(places + cell[:, None] * depth + rank[None, :], mask=inside, other=-1)
    is_there = place >= 0
    place = tl.where(is_there, place, 0)

    # Spatial attention: a convolution over the statistics of the same instance, 0 outside of it.
    tap = tl.arange(0, PADDED_TAPS)
    is_tap = tap < KERNEL * KERNEL
    down = tap // KERNEL - KERNEL // 2
    right = tap % KERNEL - KERNEL // 2
    y = ((place % (height * width)) // width)[:, :, None] + down[None, None, :]
    x = (place % width)[:, :, None] + right[None, None, :]
    on_grid = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    on_grid = on_grid & is_there[:, :, None] & is_tap[None, None, :]
    near = place[:, :, None] + (down * width + right)[None, None, :]
    near = tl.load(entries + near, mask=on_grid, other=-1)
    is_near = near >= 0
    near = tl.where(is_near, near, 0) * 3
    of_peak = tl.load(kernel + tap, mask=is_tap, other=0.0).to(tl.float32)
    of_mean = tl.load(kernel + KERNEL * KERNEL + tap, mask=is_tap, other=0.0).to(tl.float32)
    spatial = tl.load(statistics + near, mask=is_near, other=0.0) * of_peak[None, None, :]
    spatial += tl.load(statistics + near + 1, mask=is_near, other=0.0) * of_mean[None, None, :]
    spatial = tl.sigmoid(tl.sum(spatial, axis=2))

    # Softmax over the instances of the cell and the joint logit of the rest.
    entry = tl.load(entries + place, mask=is_there, other=0)
    importance = tl.load(statistics + entry * 3 + 2, mask=is_there, other=0.0)
    at = cell[:, None] * (depth + 1) + rank[None, :]
    logit = tl.load(logits + at, mask=is_there, other=float("-inf")) + spatial * importance
    rest = tl.load(logits + cell * (depth + 1) + depth, mask=is_cell, other=0.0)
    highest = tl.maximum(tl.max(logit, axis=1), rest)
    share = tl.exp(logit - highest[:, None])
    share = share / (tl.sum(share, axis=1) + tl.exp(rest - highest))[:, None]
    share = share * tl.load(factors + at, mask=is_there, other=0.0)

    batch_cell = tl.load(covered + cell, mask=is_cell, other=0).to(tl.int64)
    entry = entry.to(tl.int64)
    for low in tl.static_range(0, CHANNELS, STEP):
        channel = low + tl.arange(0, STEP)
        is_channel = channel < CHANNELS
        mixed = tl.load(
            features + entry[:, :, None] * CHANNELS + channel[None, None, :],
            mask=is_there[:, :, None] & is_channel[None, None, :],
            other=0.0,
        ).to(tl.float32)
        mixed = tl.sum(mixed * share[:, :, None], axis=1)
        at = out + batch_cell[:, None] * CHANNELS + channel[None, :]
        on_out = is_cell[:, None] & is_channel[None, :]
        mixed += tl.load(at, mask=on_out, other=0.0).to(tl.float32)
        tl.store(at, mixed.to(out.dtype.element_ty), mask=on_out)
