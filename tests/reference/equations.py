"""The method's equations, implemented naively. Independent of the pack: needs torch only.

Weights are checkpoints in the release's format: a dict of three dicts (`text_proj_model`,
`adapter_modules`, `pos_net`) with the release's key names. Masks are dense over the whole grid, empty
slots are filled with zeros, and instances, heads and slots are Python loops without caches. This is slow
on purpose: each line can be checked against its equation. Everything is computed in the dtype of the
weights; `double` converts a checkpoint to float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

StateDict = dict[str, Tensor]
Checkpoint = dict[str, StateDict]

FREQUENCIES = 64  # of the box embedding; 8 values each, 512 in total
RMS_EPS = 1e-6
KERNEL = 7  # kernel size of the spatial attention


def part(sd: StateDict, prefix: str) -> StateDict:
    """The entries that start with `prefix`, without it: part(sd, "25.") is one adapted layer."""
    return {key[len(prefix) :]: value for key, value in sd.items() if key.startswith(prefix)}


def double(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint in float64."""
    return {name: {key: value.double() for key, value in sd.items()} for name, sd in checkpoint.items()}


# Norms and attention


def layer_norm(x: Tensor, sd: StateDict, name: str) -> Tensor:
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * sd[f"{name}.weight"] + sd[f"{name}.bias"]


def rms_norm(x: Tensor, offset: Tensor | None = None) -> Tensor:
    """x divided by its root mean square over the last axis; the stored weight is an offset from 1."""
    normed = x / torch.sqrt((x * x).mean(dim=-1, keepdim=True) + RMS_EPS)
    return normed if offset is None else normed * (1 + offset)


def linear(x: Tensor, sd: StateDict, name: str) -> Tensor:
    y = x @ sd[f"{name}.weight"].T
    return y + sd[f"{name}.bias"] if f"{name}.bias" in sd else y


def attention(
    q: Tensor, k: Tensor, v: Tensor, q_offset: Tensor, k_offset: Tensor, visible: Tensor | None = None
) -> Tensor:
    """One sample: q (T, C), k and v (S, C), visible (S,) -> (T, C). The head size is that of q_offset."""
    size = q_offset.numel()
    heads = []
    for start in range(0, q.shape[-1], size):
        head = slice(start, start + size)
        scores = rms_norm(q[:, head], q_offset) @ rms_norm(k[:, head], k_offset).T / math.sqrt(size)
        if visible is not None:
            scores = scores.masked_fill(~visible[None, :], float("-inf"))
        heads.append(scores.softmax(dim=-1) @ v[:, head])
    return torch.cat(heads, dim=-1)


# Appearance tokens (eq. 3)


def word_masks(attention_mask: Tensor, depth: int, quirk: bool = True) -> list[Tensor]:
    """The visible words of one instance for each resampler layer, (T,) booleans.

    Each layer hides BOS and the position sum - 1. With the quirk, all layers edit the same mask, so the sum
    shrinks and every layer after the first hides one more word. Without it, every layer starts from the
    given mask.
    """
    masks = []
    mask = attention_mask.clone().long()
    for _ in range(depth):
        if not quirk:
            mask = attention_mask.clone().long()
        eot = int(mask.sum()) - 1
        mask[0] = 0
        mask[eot] = 0  # an empty mask gives -1, the last position
        masks.append(mask.bool().clone())
    return masks


def resampler_layer(sd: StateDict, x: Tensor, z: Tensor, words: Tensor) -> Tensor:
    """x (T, dim) words, z (L, dim) latents -> (L, dim)."""
    attn = part(sd, "0.")
    x, latents = layer_norm(x, attn, "norm1"), layer_norm(z, attn, "norm2")
    kv = linear(torch.cat([x, latents]), attn, "to_kv")
    k, v = kv[:, : kv.shape[1] // 2], kv[:, kv.shape[1] // 2 :]
    visible = torch.cat([words, torch.ones(len(z), dtype=torch.bool)])
    z = z + linear(
        attention(linear(latents, attn, "to_q"), k, v, attn["q_norm.weight"], attn["k_norm.weight"], visible),
        attn,
        "to_out",
    )
    mlp = part(sd, "1.")
    gated = F.gelu(linear(z, mlp, "gate_proj"), approximate="tanh") * linear(z, mlp, "up_proj")
    return z + linear(rms_norm(gated), mlp, "down_proj")


def resampler(sd: StateDict, phrase_embeds: Tensor, attention_mask: Tensor, quirk: bool = True) -> Tensor:
    """`text_proj_model`: phrase_embeds (N, k, T, D), attention_mask (N, T) -> (N, k, L, D_out)."""
    depth = 1 + max(int(key.split(".")[1]) for key in sd if key.startswith("layers."))
    instances = []
    for phrase, mask in zip(phrase_embeds, attention_mask, strict=True):
        words = word_masks(mask, depth, quirk)
        rows = []
        for embeds in phrase:
            x, z = linear(embeds, sd, "proj_in"), sd["latents"][0]
            for i in range(depth):
                z = resampler_layer(part(sd, f"layers.{i}."), x, z, words[i])
            rows.append(
                layer_norm(linear(layer_norm(z, sd, "attention_norm"), sd, "proj_out"), sd, "norm_out")
            )
        instances.append(torch.stack(rows))
    return torch.stack(instances)


# Grounding


def position_net(sd: StateDict, boxes: Tensor) -> Tensor:
    """`pos_net`: boxes (N, 4) as x0 y0 x1 y1 in 0..1 -> (N, D_out)."""
    dtype = sd["linears_position.0.weight"].dtype
    rows = []
    for box in boxes.to(dtype):
        values = []
        for i in range(FREQUENCIES):
            frequency = 100 ** (i / FREQUENCIES)
            values += [torch.sin(frequency * edge) for edge in box] + [
                torch.cos(frequency * edge) for edge in box
            ]
        rows.append(torch.stack(values))
    x = F.silu(linear(torch.stack(rows), sd, "linears_position.0"))
    x = F.silu(linear(x, sd, "linears_position.2"))
    return linear(x, sd, "linears_position.4")


def instance_tokens(
    checkpoint: Checkpoint,
    phrase_embeds: Tensor,
    attention_mask: Tensor,
    eot_embeds: Tensor,
    boxes: Tensor,
    quirk: bool = True,
) -> Tensor:
    """(N, k L + 1, D): appearance tokens depth by depth, then EoT, each plus the grounding."""
    appearance = resampler(checkpoint["text_proj_model"], phrase_embeds, attention_mask, quirk)
    grounding = position_net(checkpoint["pos_net"], boxes)
    rows = []
    for tokens, eot, position in zip(appearance, eot_embeds, grounding, strict=True):
        rows.append(torch.cat([*tokens, eot[None]]) + position[None])
    return torch.stack(rows)


def null_tokens(
    checkpoint: Checkpoint,
    phrase_embeds: Tensor,
    attention_mask: Tensor,
    eot_embeds: Tensor,
    boxes: Tensor,
    quirk: bool = True,
) -> Tensor:
    """Tokens of the null condition: the same boxes without descriptions."""
    return instance_tokens(
        checkpoint,
        torch.zeros_like(phrase_embeds),
        torch.zeros_like(attention_mask),
        torch.zeros_like(eot_embeds),
        boxes,
        quirk,
    )


# The instance semantic map (eq. 4-8)


def box_mask(box: Tensor, h: int, w: int) -> Tensor:
    """(h, w) booleans: columns floor(x0 w) .. ceil(x1 w) - 1, rows likewise, at least one cell.

    Products are computed in float32, so that 0.7 * 10 gives the same cell everywhere.
    """
    x0, y0, x1, y1 = box.to(torch.float32)
    mask = torch.zeros(h, w, dtype=torch.bool)
    left = min(int(torch.floor(x0 * w)), w - 1)
    top = min(int(torch.floor(y0 * h)), h - 1)
    right = max(min(int(torch.ceil(x1 * w)), w), left + 1)
    bottom = max(min(int(torch.ceil(y1 * h)), h), top + 1)
    for y in range(top, bottom):
        for x in range(left, right):
            mask[y, x] = True
    return mask


def box_masks(boxes: Tensor, h: int, w: int) -> Tensor:
    return torch.stack([box_mask(box, h, w) for box in boxes])


def instance_feature(sd: StateDict, q: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """s_i of one row: q (h w, C), tokens (M, D), mask (h, w) -> (C, h, w), 0 outside the mask (eq. 4)."""
    s = attention(
        q,
        linear(tokens, sd, "to_k_ap"),
        linear(tokens, sd, "to_v_ap"),
        sd["q_norm.weight"],
        sd["k_norm.weight"],
    )
    return s.T.reshape(q.shape[1], *mask.shape) * mask.to(q.dtype)


def importance(sd: StateDict, s: Tensor) -> Tensor:
    """c_i = conv1x1(CBAM(s_i)): (C, h, w) -> (h, w). Max and mean run over the whole grid (eq. 6)."""

    def shared_mlp(pooled: Tensor) -> Tensor:
        return linear(F.relu(linear(pooled, sd, "cbam.cam.linear.0")), sd, "cbam.cam.linear.2")

    channel = torch.sigmoid(shared_mlp(s.amax(dim=(1, 2))) + shared_mlp(s.mean(dim=(1, 2))))
    x = s * channel[:, None, None]
    pooled = torch.stack([x.amax(dim=0), x.mean(dim=0)])
    spatial = torch.sigmoid(F.conv2d(pooled[None], sd["cbam.sam.conv.weight"], padding=KERNEL // 2)[0])
    return F.conv2d((x * spatial)[None], sd["conv.weight"], sd["conv.bias"])[0, 0]


def gate_weights(sd: StateDict, features: Tensor, masks: Tensor, order: str = "release") -> Tensor:
    """w_i: features (slots, C, h, w) with zeros in empty slots, masks (slots, h, w) -> (slots, h, w).

    order: "release" applies the size gate before the softmax, "paper" after it (eq. 7).
    """
    foreground = int(masks.any(dim=0).sum())
    importances, gates = [], []
    for s, mask in zip(features, masks, strict=True):
        area = int(mask.sum())
        ratio = foreground / area if area else 0.0
        importances.append(importance(sd, s))
        gates.append(torch.sigmoid(torch.tensor(ratio, dtype=features.dtype)))
    c, g = torch.stack(importances), torch.stack(gates)[:, None, None]
    if order == "release":
        return torch.softmax(c * g, dim=0)
    if order == "paper":
        return torch.softmax(c, dim=0) * g
    raise ValueError(f"order must be release or paper, got {order}")


def layer_residual(
    sd: StateDict,
    q: Tensor,
    tokens: Tensor,
    boxes: Tensor,
    h: int,
    w: int,
    slots: int = 10,
    order: str = "release",
    masks: Tensor | None = None,
    strengths: Sequence[float] | None = None,
) -> Tensor:
    """Residual of one adapted layer: tanh(alpha) * D, zero on background cells.

    q: (R, h w, C) projected queries of the layer.
    tokens: (R, N, M, D), or (N, M, D) for the same tokens in all rows.
    slots: number of softmax slots; at least N are used.
    masks: (N, h, w) covered cells; default: the cells of the boxes.
    strengths: factor on each instance's part of D.
    """
    n = tokens.shape[-3]
    masks = box_masks(boxes, h, w) if masks is None else masks.bool()
    slots = max(slots, n)
    padded = torch.zeros(slots, h, w, dtype=torch.bool)
    padded[:n] = masks
    background = ~masks.any(dim=0)
    rows = []
    for r in range(len(q)):
        features = torch.zeros(slots, q.shape[2], h, w, dtype=q.dtype)
        for i in range(n):
            features[i] = instance_feature(
                sd, q[r], tokens[r, i] if tokens.ndim == 4 else tokens[i], masks[i]
            )
        weights = gate_weights(sd, features, padded, order)
        d = torch.zeros(q.shape[2], h, w, dtype=q.dtype)
        for i in range(n):
            d += (1.0 if strengths is None else float(strengths[i])) * weights[i][None] * features[i]
        d[:, background] = 0
        rows.append(d.reshape(q.shape[2], h * w).T)
    return torch.tanh(sd["alpha"]) * torch.stack(rows)
