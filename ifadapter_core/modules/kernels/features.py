"""Kernels 1 to 3: the features of each instance, and the gates of their channels.

Letters in shapes: C, H and M as in ``plan.py``, J, T and V as in ``tiles.py``. Names in capitals are
compile-time constants; a tile and its padded sizes are powers of two.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def features_kernel(
    q,
    k,
    v,
    cells,
    first,
    first_tile,
    owner,
    features,
    partials,
    TOKENS: tl.constexpr,
    PADDED_TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    PADDED_HEAD_DIM: tl.constexpr,
    SCALE: tl.constexpr,
    EPSILON: tl.constexpr,
    TILE: tl.constexpr,
):
    """Attention of the queries of one tile to the tokens of its instance, in one head.

    Programs: (T, heads). q (R * h*w, C) not normalized; k, v (J, M, C) with normalized keys.
    Writes features (V, C) in the dtype of q; partials (T, 2, C) float32, maximum and sum over the tile.
    """
    tile = tl.program_id(0)
    head = tl.program_id(1)
    instance = tl.load(owner + tile)
    start = tl.load(first + instance) + (tile - tl.load(first_tile + instance)) * TILE
    entry = start + tl.arange(0, TILE)
    is_entry = entry < tl.load(first + instance + 1)
    part = tl.arange(0, PADDED_HEAD_DIM)
    is_part = part < HEAD_DIM
    channel = head * HEAD_DIM + part
    token = tl.arange(0, PADDED_TOKENS)
    is_token = token < TOKENS
    inside = is_entry[:, None] & is_part[None, :]

    cell = tl.load(cells + entry, mask=is_entry, other=0).to(tl.int64)
    x = tl.load(q + cell[:, None] * CHANNELS + channel[None, :], mask=inside, other=0.0).to(tl.float32)
    x = x * tl.rsqrt(tl.sum(x * x, axis=1) / HEAD_DIM + EPSILON)[:, None]

    row = (instance * TOKENS + token) * CHANNELS
    keys = tl.load(
        k + row[None, :] + channel[:, None], mask=is_token[None, :] & is_part[:, None], other=0.0
    )  # head dim, tokens
    scores = tl.dot(x.to(q.dtype.element_ty), keys, input_precision="ieee") * SCALE
    scores = tl.where(is_token[None, :], scores, float("-inf"))
    scores = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    scores = scores / tl.sum(scores, axis=1)[:, None]
    values = tl.load(
        v + row[:, None] + channel[None, :], mask=is_token[:, None] & is_part[None, :], other=0.0
    )  # tokens, head dim
    y = tl.dot(scores.to(q.dtype.element_ty), values, input_precision="ieee").to(q.dtype.element_ty)
    tl.store(features + entry.to(tl.int64)[:, None] * CHANNELS + channel[None, :], y, mask=inside)

    y = y.to(tl.float32)
    at = partials + tile * (2 * CHANNELS) + channel
    tl.store(at, tl.max(tl.where(is_entry[:, None], y, float("-inf")), axis=0), mask=is_part)
    tl.store(at + CHANNELS, tl.sum(tl.where(is_entry[:, None], y, 0.0), axis=0), mask=is_part)


@triton.jit(do_not_specialize=["grid_cells"])
def squeeze_kernel(
    partials,
    first,
    first_tile,
    squeeze,
    squeeze_bias,
    hidden,
    grid_cells,
    CHANNELS: tl.constexpr,
    HIDDEN: tl.constexpr,
    ROWS: tl.constexpr,
    STEP: tl.constexpr,
    TILES: tl.constexpr,
):
    """First layer of the channel attention: ROWS hidden channels of one instance.

    Programs: (J, H / ROWS). squeeze (H, C). STEP: channels at a time. TILES: tiles at a time.
    Writes hidden (J, H) float32, the sum of both activations: of the maximum and of the mean over the grid.
    """
    instance = tl.program_id(0)
    begin = tl.load(first_tile + instance)
    end = tl.load(first_tile + instance + 1)
    is_whole = tl.load(first + instance + 1) - tl.load(first + instance) == grid_cells
    floor = tl.where(is_whole, float("-inf"), 0.0)  # from the cells outside the instance
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    is_row = row < HIDDEN

    of_peak = tl.zeros((ROWS,), tl.float32)
    of_mean = tl.zeros((ROWS,), tl.float32)
    for low in tl.static_range(0, CHANNELS, STEP):
        channel = low + tl.arange(0, STEP)
        is_channel = channel < CHANNELS
        peak = tl.full((STEP,), float("-inf"), tl.float32)
        total = tl.zeros((STEP,), tl.float32)
        for number in range(begin, end, TILES):
            tile = number + tl.arange(0, TILES)
            inside = (tile < end)[:, None] & is_channel[None, :]
            at = partials + tile[:, None] * (2 * CHANNELS) + channel[None, :]
            peak = tl.maximum(peak, tl.max(tl.load(at, mask=inside, other=float("-inf")), axis=0))
            total += tl.sum(tl.load(at + CHANNELS, mask=inside, other=0.0), axis=0)
        peak = tl.where(is_channel, tl.maximum(peak, floor), 0.0)
        weight = tl.load(
            squeeze + row[:, None] * CHANNELS + channel[None, :],
            mask=is_row[:, None] & is_channel[None, :],
            other=0.0,
        ).to(tl.float32)
        of_peak += tl.sum(weight * peak[None, :], axis=1)
        of_mean += tl.sum(weight * (total / grid_cells)[None, :], axis=1)
    bias = tl.load(squeeze_bias + row, mask=is_row, other=0.0).to(tl.float32)
    activation = tl.maximum(of_peak + bias, 0.0) + tl.maximum(of_mean + bias, 0.0)
    tl.store(hidden + instance * HIDDEN + row, activation, mask=is_row)


@triton.jit
def excite_kernel(
    hidden,
    excite,
    excite_bias,
    gates,
    CHANNELS: tl.constexpr,
    HIDDEN: tl.constexpr,
    PADDED_HIDDEN: tl.constexpr,
    STEP: tl.constexpr,
):
    """Second layer of the channel attention: the gates of STEP channels of one instance.

    Programs: (J, C / STEP). hidden (J, H), excite (C, 2 * H) with two equal halves. Writes gates (J, C)
    float32.
    """
    instance = tl.program_id(0)
    channel = tl.program_id(1) * STEP + tl.arange(0, STEP)
    is_channel = channel < CHANNELS
    column = tl.arange(0, PADDED_HIDDEN)
    is_column = column < HIDDEN
    weight = tl.load(
        excite + channel[:, None] * (2 * HIDDEN) + column[None, :],
        mask=is_channel[:, None] & is_column[None, :],
        other=0.0,
    ).to(tl.float32)
    activation = tl.load(hidden + instance * HIDDEN + column, mask=is_column, other=0.0)
    logit = tl.sum(weight * activation[None, :], axis=1)
    logit += tl.load(excite_bias + channel, mask=is_channel, other=0.0).to(tl.float32)
    tl.store(gates + instance * CHANNELS + channel, tl.sigmoid(logit), mask=is_channel)
