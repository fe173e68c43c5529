"""One adapter applied to one model: the state that its attention patches share."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
import comfy.ops
import torch
from torch import Tensor

from ...ifadapter_core.adapter import IFAdapter, InstanceLayers
from ...ifadapter_core.geometry import Geometry
from ...ifadapter_core.modules.attention import InstanceCrossAttention, KeysValues
from ...ifadapter_core.modules.plan import LayerPlan, LayerWeights, make_plan
from ...ifadapter_core.packed import PackedInstances
from ...ifadapter_core.packing import pack_instances
from ...ifadapter_core.semantic_map import SemanticMap
from .files import patcher_for
from .rows import TAG, RowsError, Window, rows_of, tag_conditionings
from .run import Placed, Placement, Plans, Run, UNetCall
from .unet_layers import LayerId

# Entry of this pack in transformer_options, and key of its wrappers and callbacks.
KEY = "ifadapter"


class AppliedAdapter:
    """Keys, values, layers and settings of one applied adapter.

    Constant between runs. During a run it keeps the plan of each layer and records the UNet calls.
    """

    def __init__(
        self,
        model: Any,
        ifadapter: Any,
        layers: Mapping[int, LayerId],
        semantic_maps: Sequence[SemanticMap],
        strength: float,
        start_percent: float,
        end_percent: float,
    ) -> None:
        """Projects the tokens to keys and values.

        layers: processor index -> location in the UNet. Other arguments: see ``patcher.apply_adapter``.
        """
        self._locations = {str(processor): layer for processor, layer in layers.items()}
        self._percents = (start_percent, end_percent)
        # For UNet calls that bypass the wrapper.
        self._model_sampling = model.get_model_object("model_sampling")
        self._semantic_maps = semantic_maps
        self._strength = strength
        self._keys_values = _project_tokens(ifadapter, semantic_maps)
        self.layers = _sampling_layers(ifadapter)
        self._plans = Plans()
        self._warned: set[str] = set()
        self._run: Run | None = None
        self._bypassing_call: tuple[Tensor | None, UNetCall] | None = None

    def __deepcopy__(self, _memo: dict[int, Any]) -> AppliedAdapter:
        # Hosts before 2026 deep-copy patches with every clone. The weights must not be copied.
        return self

    def wrap_run(
        self,
        executor: Any,
        guider: Any,
        sigmas: Tensor,
        extra_args: Any,
        callback: Any,
        noise: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """SAMPLER_SAMPLE wrapper: tag the conditionings, and warn about what the run left out."""
        outer, self._run = self._run, Run(self, self._locations)
        try:
            guider.conds = tag_conditionings(guider.conds, noise, self._run.expect_call)
            samples = executor(guider, sigmas, extra_args, callback, noise, *args, **kwargs)
            for finding in self._run.findings():
                self.warn_once(finding)
        finally:
            self._run = outer
        return samples

    def wrap_batch(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """CALC_COND_BATCH wrapper: tells calls with the adapter's wrappers from calls without them."""
        if self._run is None:
            return executor(*args, **kwargs)
        with self._run.batch():
            return executor(*args, **kwargs)

    def wrap_unet_call(
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
        """APPLY_MODEL wrapper: settle the schedule, the row tags and the patches once per UNet call."""
        other_adapters: dict[int, UNetCall] = transformer_options.get(KEY, {})
        # The first wrapper takes the tag out of the model's arguments; later adapters read it from
        # that call. With several GPUs, the host has moved it to one of them.
        tag = kwargs.pop(TAG, next((call.tag for call in other_adapters.values()), None))
        tag = None if tag is None else tag.cpu()
        slots = transformer_options.get("patches_replace", {}).get("attn2", {})
        active = self._is_active(t, executor.class_obj.model_sampling)
        call = UNetCall(active, tag, slots, in_tagged_run=self._run is not None)
        options = {**transformer_options, KEY: {**other_adapters, id(self): call}}
        out = executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        if self._run is not None:
            self._run.record(call)
        return out

    def plan(
        self, processor: str, q: Tensor, extra_options: dict[str, Any], call: UNetCall
    ) -> LayerPlan | None:
        """The plan of one layer for the rows of q (rows, h*w, C).

        None if the adapter is inactive or the rows cannot be identified.
        """
        call.reached.add(processor)
        if not call.active:
            return None
        key = call.batch_key(extra_options, q)
        if key in call.placed:
            placed = call.placed[key]
        else:
            placed = call.placed[key] = self._place(q, extra_options, call)
        if placed is None:
            return None
        plan = placed.plans.get((processor, q.dtype))
        return plan or self._plans.plan(self, processor, placed, q.dtype)

    def _place(self, q: Tensor, extra_options: dict[str, Any], call: UNetCall) -> Placed | None:
        """The instances in the rows of q, or None with a warning if the rows cannot be identified."""
        try:
            rows = rows_of(call.tag, extra_options, q.shape[0], call.in_tagged_run)
        except RowsError as error:
            self.warn_once(str(error))
            return None
        latent_size = tuple(extra_options["original_shape"][-2:])
        if any(row.window and (row.window.height, row.window.width) != latent_size for row in rows):
            self.warn_once(
                "IFAdapter: another node samples this picture in tiles and does not give their "
                "positions, so the adapter is left out. Sample the whole picture with the adapter "
                "first, then refine it in tiles with the model from before IFAdapter Apply."
            )
            return None
        height, width = extra_options["activations_shape"][-2:]
        return self._plans.place(self, Placement(rows, height, width, q.device))

    def release_caches(self, _model: Any) -> None:
        """ON_CLEANUP callback: drop everything that was cached for a run."""
        self._plans.release()
        self._warned.clear()
        self._bypassing_call = None

    def unet_call(self, extra_options: dict[str, Any], processor: str) -> UNetCall:
        """The state of the current call. Calls that bypass the wrapper have no tags; that is said once.

        processor: the layer that asks. A call that bypasses the wrapper ends where a layer comes again.
        """
        prepared = extra_options.get(KEY, {}).get(id(self))
        if prepared is not None:
            return prepared
        sigma = extra_options.get("sigmas")
        if self._bypassing_call is not None:
            known_sigma, call = self._bypassing_call
            if known_sigma is sigma and processor not in call.reached:
                return call
        if self._run is None:
            self.warn_once(
                "IFAdapter: this sampler does not mark the conditionings as ComfyUI's samplers do, so the "
                "first one (number 0) is taken for the positive prompt."
            )
        else:
            self._run.meet_call()
            self.warn_once(
                "IFAdapter: another node runs the model with the adapter's patches, but without the marks "
                "of the conditionings, so none of them is taken for the positive prompt. Place IFAdapter "
                "Apply after that node."
            )
        active = self._is_active(sigma, self._model_sampling)
        call = UNetCall(active, tag=None, in_tagged_run=self._run is not None)
        self._bypassing_call = sigma, call
        return call

    def _is_active(self, sigma: Tensor | None, model_sampling: Any) -> bool:
        """Whether the adapter acts at a noise level. Reads sigma only if the range is limited."""
        start, end = self._percents
        if sigma is None or (start <= 0 and end >= 1):
            return True
        return (
            model_sampling.percent_to_sigma(end)
            <= sigma.max().item()
            <= model_sampling.percent_to_sigma(start)
        )

    def cast_weights(self, processor: str, device: torch.device, dtype: torch.dtype) -> LayerWeights:
        """See ``run.Planner``."""
        layer: InstanceCrossAttention = self.layers.model[processor]
        return layer.weights(device, dtype)

    def make_plan(self, processor: str, weights: LayerWeights, packed: PackedInstances) -> LayerPlan:
        """See ``run.Planner``."""
        keys_values = self._keys_values[processor]
        return make_plan(weights, keys_values.k, keys_values.v, packed)

    def pack(self, placement: Placement) -> PackedInstances:
        """The instances of all rows on the grid of a layer."""
        counts = [len(semantic_map.tokens) for semantic_map in self._semantic_maps]
        geometries: list[Geometry] = []
        strengths: list[list[float]] = []
        sources: list[int] = []
        for row in placement.rows:
            index = row.image % len(counts)
            semantic_map = self._semantic_maps[index]
            # Order of the keys and values: the positive tokens of all maps, then their null tokens.
            first = sum(counts[:index]) + (0 if row.positive else sum(counts))
            geometries.append(self._geometry(semantic_map, placement.height, placement.width, row.window))
            strengths.append([self._strength * own for own in semantic_map.tokens.strengths])
            sources += range(first, first + counts[index])
        return pack_instances(geometries, strengths, placement.device, sources)

    def _geometry(
        self, semantic_map: SemanticMap, height: int, width: int, window: Window | None
    ) -> Geometry:
        part = None if window is None or window.is_whole else window.box
        small = _small_boxes(semantic_map.tokens.boxes, height, width) if part is None else []
        if small:
            self.warn_once(
                f"IFAdapter: at this picture size the adapter works on {width} x {height} cells, and box "
                f"{', '.join(map(str, small))} is smaller than one cell, so its position is rounded to "
                "cells. Use a larger picture or larger boxes."
            )
        return semantic_map.geometry(height, width, part)

    def warn_once(self, message: str) -> None:
        """Log a warning once per run."""
        if message not in self._warned:
            self._warned.add(message)
            logging.warning(message)


def _project_tokens(ifadapter: Any, semantic_maps: Sequence[SemanticMap]) -> dict[str, KeysValues]:
    """Keys and values (2 * instances, M, C) of each layer.

    Order: the positive tokens of all maps, then the null tokens of all maps.
    """
    comfy.model_management.load_models_gpu([ifadapter])
    positive = [semantic_map.tokens.cond for semantic_map in semantic_maps]
    null = [semantic_map.tokens.uncond for semantic_map in semantic_maps]
    tokens = torch.cat([part for part in positive + null if len(part)]).to(ifadapter.load_device)
    keep = comfy.model_management.intermediate_device()
    adapter: IFAdapter = ifadapter.model
    projected = {processor: adapter.keys_values(processor, tokens) for processor in adapter.projections}
    return {processor: KeysValues(both.k.to(keep), both.v.to(keep)) for processor, both in projected.items()}


def _sampling_layers(ifadapter: Any) -> Any:
    """The layers that sampling needs, as a ModelPatcher; the host can offload all the rest."""
    adapter: IFAdapter = ifadapter.model
    layers = InstanceLayers(adapter.config, comfy.ops.manual_cast, device=torch.device("meta"))
    weights = {
        name: value.detach().to("cpu", copy=True) for name, value in adapter.layers.state_dict().items()
    }
    layers.load_state_dict(weights, assign=True)
    return patcher_for(layers.eval().requires_grad_(False))


def _small_boxes(boxes: Tensor, height: int, width: int) -> list[int]:
    """Numbers, from 1, of the boxes (N, 4) that are smaller than one cell of the grid."""
    sizes = (boxes[:, 2:] - boxes[:, :2]) * torch.tensor([width, height])
    return ((sizes.amin(dim=1) < 1).nonzero()[:, 0] + 1).tolist()
