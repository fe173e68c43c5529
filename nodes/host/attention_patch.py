"""The object in the attn2 slot of an adapted transformer block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from comfy.ldm.modules.attention import attention_pytorch, optimized_attention
from torch import Tensor

from ...ifadapter_core.modules.attention import Attend, add_semantic_map, attend
from .application import AppliedAdapter
from .run import UNetCall

OVERRIDE = "optimized_attention_override"  # the key by which other packs replace the host's attention


class InstanceAttentionPatch:
    """Cross attention of one adapted layer.

    Its output is the sum of three parts: the patch below it (or the host's attention),
    the layer's instance semantic map, and the callbacks that other packs add afterwards.
    """

    def __init__(self, adapter: AppliedAdapter, processor: str, previous: Any, block_patch: Any) -> None:
        """processor: index of the layer in diffusers' order.

        previous: patch in the slot of the transformer block, or None.
        block_patch: patch in the slot of the whole block, or None. The host does not call that one
        where a transformer block has a patch, so this patch calls it.
        """
        self.adapter = adapter
        self.previous = previous
        self._processor = processor
        self._block_patch = block_patch
        self._added: tuple[tuple[Callable[..., Tensor], dict[str, Any]], ...] = ()

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        """Attention output (rows, h*w, C) in the dtype of q. q (rows, h*w, C); k, v (rows, T, C)."""
        call = self.adapter.unet_call(extra_options, self._processor)
        base = self._patch_below(call, extra_options)
        if base is None:
            if k.shape[0] != q.shape[0]:
                k, v = self._text_of_rows(q, k, v)
            out = host_attention(q, k, v, extra_options["n_heads"], extra_options)
        else:
            out = base(q, k, v, extra_options)
        plan = self.adapter.plan(self._processor, q, extra_options, call)
        if plan is not None:
            # out may be aliased by the pack that made it; then it must not be modified in place.
            shared = base is not None or OVERRIDE in extra_options
            out = (out.clone() if shared else out).to(q.dtype).contiguous()
            out = add_semantic_map(q, plan, _instance_attention(q.device, extra_options), out)
        for callback, options in self._added:
            if _in_schedule(options, extra_options, call):
                out = out + callback(out, q, k, v, extra_options, **options)
        return out.to(q.dtype)

    def add(self, callback: Callable[..., Tensor], **options: Any) -> None:
        """Add the result of a callback to the output: the contract of ComfyUI_IPAdapter_plus.

        ``callback(out, q, k, v, extra_options, **options)`` returns the tensor to add. It is called
        while the noise level is between ``options["sigma_end"]`` and ``options["sigma_start"]``, or
        always if they are not given.
        """
        self._added = (*self._added, (callback, options))

    def copy(self) -> InstanceAttentionPatch:
        """A patch with its own list of callbacks, which shares everything else."""
        previous = self.previous
        if isinstance(previous, InstanceAttentionPatch):
            previous = previous.copy()
        copied = InstanceAttentionPatch(self.adapter, self._processor, previous, self._block_patch)
        copied._added = self._added
        return copied

    def models(self) -> list[Any]:
        """ModelPatchers that the host must load for this patch and the previous one in the same slot."""
        previous = self.previous.models() if hasattr(self.previous, "models") else ()
        return [self.adapter.layers, *previous]

    def to(self, device_or_dtype: Any) -> InstanceAttentionPatch:
        """Move the previous patch. This patch's own tensors follow the queries."""
        if hasattr(self.previous, "to"):
            self.previous = self.previous.to(device_or_dtype)
        return self

    def cleanup(self) -> None:
        if hasattr(self.previous, "cleanup"):
            self.previous.cleanup()

    def _patch_below(self, call: UNetCall, extra_options: dict[str, Any]) -> Any:
        """The patch that the host would call without this one, or None."""
        if self.previous is not None:
            return self.previous
        # A node behind may have set or replaced the patch of the whole block.
        return self._block_patch if call.slots is None else call.slots.get(extra_options["block"])

    def _text_of_rows(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the rows of q alone, where another pack appended rows to the text."""
        rows, given = q.shape[0], k.shape[0]
        if given < rows:
            raise ValueError(
                f"IFAdapter: another node changed the rows of the text: the picture has {rows}, the text "
                f"has {given}. Remove that node, or place IFAdapter Apply elsewhere."
            )
        self.adapter.warn_once(
            f"IFAdapter: another node appended {given - rows} rows to the {rows} rows of the text, as "
            "KSamplerWithNAG does. The adapted layers do not use them, so that node acts in the other "
            "layers only. Use a guidance node that patches the model instead, such as ComfyUI's Normalized "
            "Attention Guidance."
        )
        return k[:rows], v[:rows]

    def __deepcopy__(self, _memo: dict[int, Any]) -> InstanceAttentionPatch:
        return self.copy()


def copy_attention_patches(_model: Any, clone: Any) -> None:
    """ON_CLONE callback: give the clone its own patches.

    Otherwise a callback added to a clone would also act on the original model.
    """
    slots = clone.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    for key, patch in slots.items():
        if isinstance(patch, InstanceAttentionPatch):
            slots[key] = patch.copy()


def _in_schedule(options: dict[str, Any], extra_options: dict[str, Any], call: UNetCall) -> bool:
    """Whether the noise level is between a callback's sigma_end and sigma_start."""
    if "sigmas" not in extra_options or not {"sigma_start", "sigma_end"} <= options.keys():
        return True
    return options["sigma_end"] <= call.sigma(extra_options) <= options["sigma_start"]


def host_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, extra_options: dict[str, Any]) -> Tensor:
    """Multi-head attention by the function that the user chose in the host."""
    precision = extra_options.get("attn_precision")
    return optimized_attention(q, k, v, heads, attn_precision=precision, transformer_options=extra_options)


def _instance_attention(device: torch.device, extra_options: dict[str, Any]) -> Attend:
    """The host's attention, or the core's on a CPU: faster for the few keys of an instance.

    The host's default is PyTorch's fused attention, which is called without the host's work around it.
    """
    if device.type == "cpu":
        return attend
    if optimized_attention is attention_pytorch and OVERRIDE not in extra_options:
        return _fused_attention
    return partial(host_attention, extra_options=extra_options)


def _fused_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """See ``Attend``."""
    rows, cells, channels = q.shape
    shape = (rows, -1, heads, channels // heads)
    q, k, v = q.view(shape).transpose(1, 2), k.view(shape).transpose(1, 2), v.view(shape).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(rows, cells, channels)
