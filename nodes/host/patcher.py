"""The one user of the host's patch API: adds the instance semantic map to the adapted cross-attention layers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.ops
import comfy.patcher_extension
import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

from ...ifadapter_core.adapter import IFAdapter, InstanceLayers
from ...ifadapter_core.attention import Attend, InstanceCrossAttention, KeysValues, attend
from ...ifadapter_core.geometry import Geometry
from ...ifadapter_core.packing import PackedInstances, pack_instances
from ...ifadapter_core.semantic_map import SemanticMap
from .files import patcher_for
from .rows import TAG, Row, RowsError, Window, rows_of, tag_conditionings
from .unet_layers import find_layers

KEY = "ifadapter"


def apply_adapter(
    model: Any,
    ifadapter: Any,
    semantic_maps: Sequence[SemanticMap],
    strength: float,
    start_percent: float,
    end_percent: float,
) -> Any:
    """A clone of the host's MODEL in which the adapter acts; the one that went in stays as it is.

    ifadapter: the ModelPatcher of the loader. semantic_maps: of the images of a batch, one after the other; after the last
    one the first comes again. start_percent and end_percent: the part of the model's noise schedule in which the adapter acts,
    0 = pure noise. Strength 0 or no instances: nothing is patched.
    Raises ValueError when the adapter does not fit the model, or the maps not the adapter.
    """
    adapter: IFAdapter = ifadapter.model
    places = find_layers(model, adapter.config)
    expected = adapter.config.resampler.token_width
    for semantic_map in semantic_maps:
        given = semantic_map.tokens.cond.shape[-1]
        if given != expected:
            raise ValueError(
                f"The tokens are {given} wide and the adapter reads {expected}. Encode and apply with the same adapter."
            )
    patched = model.clone()
    if not any(len(semantic_map.tokens) for semantic_map in semantic_maps):
        logging.warning(
            "IFAdapter: the layout has no instances, so the model stays as it is. Draw a box to use the adapter."
        )
        return patched
    if strength == 0:
        return patched
    run = _Run(model, ifadapter, semantic_maps, strength, start_percent, end_percent)
    occupied = patched.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    for processor, block in places.items():
        previous = occupied.get(tuple(block), occupied.get(tuple(block[:2])))
        patched.set_model_attn2_replace(InstanceAttentionPatch(run, str(processor), previous), *block)
    wrappers = comfy.patcher_extension.WrappersMP
    if not patched.get_wrappers(
        wrappers.SAMPLER_SAMPLE, KEY
    ):  # one adapter before this one has seen to it already
        patched.add_wrapper_with_key(wrappers.SAMPLER_SAMPLE, KEY, tag_conditionings)
    patched.add_wrapper_with_key(wrappers.APPLY_MODEL, KEY, run.prepare_call)
    callbacks = comfy.patcher_extension.CallbacksMP
    patched.add_callback_with_key(callbacks.ON_CLEANUP, KEY, run.release)
    if not patched.get_callbacks(callbacks.ON_CLONE, KEY):
        patched.add_callback_with_key(callbacks.ON_CLONE, KEY, _give_own_patches)
    return patched


class InstanceAttentionPatch:
    """Replaces one attn2: what was there before, plus this layer's instance semantic map, plus what was added afterwards."""

    def __init__(self, run: _Run, processor: str, previous: Any) -> None:
        self._run = run
        self._processor = processor
        self._previous = previous
        self._added: tuple[tuple[Callable[..., Tensor], dict[str, Any]], ...] = ()

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        if self._previous is None:
            out = _attend(q, k, v, extra_options["n_heads"], extra_options)
        else:
            out = self._previous(q, k, v, extra_options)
        foreign = (
            self._previous is not None or "optimized_attention_override" in extra_options
        )  # somebody else made out and may keep it
        out = self._run.with_instances(out, foreign, self._processor, q, extra_options)
        for callback, options in self._added:
            if _within(options, extra_options):
                out = out + callback(out, q, k, v, extra_options, **options)
        return out.to(q.dtype)

    def add(self, callback: Callable[..., Tensor], **options: Any) -> None:
        """For packs that put themselves behind what sits in the slot, by the contract of ComfyUI_IPAdapter_plus.

        callback(out, q, k, v, extra_options, **options) -> what to add to out, while the noise is between options sigma_end and
        sigma_start.
        """
        self._added = (*self._added, (callback, options))

    def copy(self) -> InstanceAttentionPatch:
        """One to which something can be added that this one does not get."""
        previous = (
            self._previous.copy() if isinstance(self._previous, InstanceAttentionPatch) else self._previous
        )
        copied = InstanceAttentionPatch(self._run, self._processor, previous)
        copied._added = self._added
        return copied

    def models(self) -> list[Any]:
        """What the host must have loaded while this patch is in use, with what the replaced patch needs."""
        return [self._run.layers, *(self._previous.models() if hasattr(self._previous, "models") else ())]

    def to(self, device_or_dtype: Any) -> InstanceAttentionPatch:
        """Only the replaced patch may have something to move: our tensors follow the queries they meet."""
        if hasattr(self._previous, "to"):
            self._previous = self._previous.to(device_or_dtype)
        return self

    def cleanup(self) -> None:
        if hasattr(self._previous, "cleanup"):
            self._previous.cleanup()

    def __deepcopy__(self, _memo: dict[int, Any]) -> InstanceAttentionPatch:
        return self.copy()


def _within(options: dict[str, Any], extra_options: dict[str, Any]) -> bool:
    """Whether the noise of a call is between sigma_end and sigma_start, where an added callback names them."""
    if "sigmas" not in extra_options or not {"sigma_start", "sigma_end"} <= options.keys():
        return True
    return options["sigma_end"] <= extra_options["sigmas"].max().item() <= options["sigma_start"]


def _give_own_patches(_model: Any, clone: Any) -> None:
    """What is added to the patches of a clone must not reach the model that it came from."""
    slots = clone.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    for key, patch in slots.items():
        if isinstance(patch, InstanceAttentionPatch):
            slots[key] = patch.copy()


@dataclass
class _Call:
    """What one UNet call tells all patches of one adapter. asked: whether any of them was called."""

    active: bool
    tag: Tensor | None  # see rows.py
    asked: bool = False


class _Run:
    """What the patches of one applied adapter share. Constant, apart from copies kept for the queries' device and grid."""

    def __init__(
        self,
        model: Any,
        ifadapter: Any,
        semantic_maps: Sequence[SemanticMap],
        strength: float,
        start_percent: float,
        end_percent: float,
    ) -> None:
        self._percents = (start_percent, end_percent)
        self._sampling = model.get_model_object("model_sampling")  # for calls that come around the wrapper
        self._semantic_maps = semantic_maps
        self._strength = strength
        self._keys_values = _project(ifadapter, semantic_maps)
        self.layers = _sampling_layers(ifadapter)
        self._placed: dict[tuple[str, torch.device, torch.dtype], KeysValues] = {}
        self._placements: dict[tuple[tuple[Row, ...], int, int, torch.device], PackedInstances] = {}
        self._warned_of: set[Any] = set()

    def __deepcopy__(self, _memo: dict[int, Any]) -> _Run:
        return self

    def prepare_call(
        self,
        executor: Any,
        x: Tensor,
        t: Tensor,
        c_concat: Any,
        c_crossattn: Any,
        control: Any,
        transformer_options: dict[str, Any],
        **kwargs: Any,
    ) -> Any:
        """Wraps one UNet call: settle what holds for all its layers, by the schedule in force and the rows' tags."""
        others: dict[int, _Call] = transformer_options.get(KEY, {})
        tag = kwargs.pop(TAG, next((call.tag for call in others.values()), None))
        call = _Call(self._in_window(t, executor.class_obj.model_sampling), tag)
        options = {**transformer_options, KEY: {**others, id(self): call}}
        out = executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        if call.active and not call.asked:
            self._warn_of_silence(options)
        return out

    def with_instances(
        self, out: Tensor, foreign: bool, processor: str, q: Tensor, extra_options: dict[str, Any]
    ) -> Tensor:
        """The attention output of one layer with its instances. out, q: (rows, h*w, C). A foreign out stays as it is."""
        call = self._call(extra_options)
        call.asked = True
        if not call.active:
            return out
        try:
            rows = rows_of(call.tag, extra_options, q.shape[0])
        except RowsError as error:
            self._warn_once(str(error))
            return out
        if any(
            row.window
            and (row.window.height, row.window.width) != tuple(extra_options["original_shape"][-2:])
            for row in rows
        ):
            self._warn_once(
                "IFAdapter: a node samples this picture in tiles and does not say where they lie, so the adapter is left out. Sample the "
                "whole picture with the adapter first, and refine it in tiles with the model from before IFAdapter Apply."
            )
            return out
        placement = self._placement(rows, *extra_options["activations_shape"][-2:], q.device)
        layer: InstanceCrossAttention = self.layers.model[processor]
        instances = self._place(processor, q.device, q.dtype)
        own = (out.clone() if foreign else out).to(q.dtype).contiguous()
        return layer(q, instances, placement, _attention(q.device, extra_options), own)

    def release(self, _model: Any) -> None:
        """Forget the copies made for a run."""
        self._placed.clear()
        self._placements.clear()
        self._warned_of.clear()

    def _call(self, extra_options: dict[str, Any]) -> _Call:
        prepared = extra_options.get(KEY, {}).get(id(self))
        return prepared or _Call(self._in_window(extra_options.get("sigmas"), self._sampling), tag=None)

    def _in_window(self, sigma: Tensor | None, sampling: Any) -> bool:
        start, end = self._percents
        if sigma is None or (start <= 0 and end >= 1):
            return True
        return sampling.percent_to_sigma(end) <= sigma.max().item() <= sampling.percent_to_sigma(start)

    def _place(self, processor: str, device: torch.device, dtype: torch.dtype) -> KeysValues:
        key = (processor, device, dtype)
        if key not in self._placed:
            kept = self._keys_values[processor]
            self._placed[key] = KeysValues(kept.k.to(device, dtype), kept.v.to(device, dtype))
        return self._placed[key]

    def _placement(
        self, rows: tuple[Row, ...], height: int, width: int, device: torch.device
    ) -> PackedInstances:
        key = (rows, height, width, device)
        if key not in self._placements:
            counts = [len(semantic_map.tokens) for semantic_map in self._semantic_maps]
            geometries, strengths, sources = [], [], []
            for row in rows:
                index = row.image % len(counts)
                semantic_map, first = (
                    self._semantic_maps[index],
                    sum(counts[:index]) + (0 if row.positive else sum(counts)),
                )
                geometries.append(self._geometry(semantic_map, height, width, row.window))
                strengths.append([self._strength * own for own in semantic_map.tokens.strengths])
                sources += range(first, first + counts[index])
            self._placements[key] = pack_instances(geometries, strengths, device, sources)
        return self._placements[key]

    def _geometry(
        self, semantic_map: SemanticMap, height: int, width: int, window: Window | None
    ) -> Geometry:
        whole = window is None or window.is_whole
        if whole and (id(semantic_map), height, width) not in self._warned_of:
            self._warned_of.add((id(semantic_map), height, width))
            _warn_of_small_boxes(semantic_map.tokens.boxes, height, width)
        return semantic_map.geometry(height, width, None if whole else window.box)

    def _warn_of_silence(self, transformer_options: dict[str, Any]) -> None:
        slots = transformer_options.get("patches_replace", {}).get("attn2", {})
        if any(isinstance(patch, InstanceAttentionPatch) for patch in slots.values()):
            self._warn_once(
                "IFAdapter: the adapter is switched on, but the model did not call it. If the model is compiled, take the compile node "
                "away: what it compiled does not know of the adapter. A node that reuses results of whole blocks has the same effect."
            )
        else:
            self._warn_once(
                "IFAdapter: the adapter is switched on, but another node has taken its place in the model. Put IFAdapter Apply behind "
                "other nodes that replace cross attention."
            )

    def _warn_once(self, message: str) -> None:
        """In each run."""
        if message not in self._warned_of:
            self._warned_of.add(message)
            logging.warning(message)


def _warn_of_small_boxes(boxes: Tensor, height: int, width: int) -> None:
    sizes = (boxes[:, 2:] - boxes[:, :2]) * torch.tensor([width, height])
    small = (sizes.amin(dim=1) < 1).nonzero()[:, 0] + 1
    if len(small):
        logging.warning(
            "IFAdapter: at this picture size the adapter works on %d x %d cells; box %s is smaller than a cell and cannot be placed "
            "exactly. Use a larger picture or larger boxes.",
            width,
            height,
            ", ".join(map(str, small.tolist())),
        )


def _attention(device: torch.device, extra_options: dict[str, Any]) -> Attend:
    """The host's attention; on a CPU the core's, which is faster for the few keys of an instance."""
    return attend if device.type == "cpu" else lambda q, k, v, heads: _attend(q, k, v, heads, extra_options)


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, extra_options: dict[str, Any]) -> Tensor:
    precision = extra_options.get("attn_precision")
    return optimized_attention(q, k, v, heads, attn_precision=precision, transformer_options=extra_options)


def _project(ifadapter: Any, semantic_maps: Sequence[SemanticMap]) -> dict[str, KeysValues]:
    """Keys and values (2 * instances, M, C) of each layer: those of all maps for positive rows, then for negative ones."""
    comfy.model_management.load_models_gpu([ifadapter])
    parts = [semantic_map.tokens.cond for semantic_map in semantic_maps] + [
        semantic_map.tokens.uncond for semantic_map in semantic_maps
    ]
    tokens = torch.cat([part for part in parts if len(part)]).to(ifadapter.load_device)
    keep = comfy.model_management.intermediate_device()
    projected = {
        processor: ifadapter.model.keys_values(processor, tokens) for processor in ifadapter.model.projections
    }
    return {processor: KeysValues(both.k.to(keep), both.v.to(keep)) for processor, both in projected.items()}


def _sampling_layers(ifadapter: Any) -> Any:
    """The part of the adapter that sampling needs, by itself: the resampler and the projections may be offloaded."""
    adapter: IFAdapter = ifadapter.model
    layers = InstanceLayers(adapter.config, comfy.ops.manual_cast, device=torch.device("meta"))
    layers.load_state_dict(
        {key: value.detach().to("cpu", copy=True) for key, value in adapter.layers.state_dict().items()},
        assign=True,
    )
    return patcher_for(layers.eval().requires_grad_(False))
