"""One sampling run of an applied adapter: its UNet calls, and which of its layers the model called.

Packs that cache outputs skip whole UNet calls by design. So the run is judged as a whole, when it ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from ...ifadapter_core.modules.plan import LayerPlan, LayerWeights
from ...ifadapter_core.packed import PackedInstances
from .rows import REGIONAL_PROMPT_KEYS, Row
from .unet_layers import LayerId

Slots = Mapping[tuple, Any]  # location -> patch, the host's attn2 replacements
ROW_NUMBER_KEYS = ("cond_or_uncond", *REGIONAL_PROMPT_KEYS)
MAX_PLACEMENTS = 64  # kept at a time; a run has one for each grid and each set of windows


class Placement(NamedTuple):
    """Where instances are packed: the rows of a batch, on a grid of height x width cells of a device."""

    rows: tuple[Row, ...]
    height: int
    width: int
    device: torch.device


class Planner(Protocol):
    """Makes what ``Plans`` keeps. Each layer is named by its processor."""

    def pack(self, placement: Placement) -> PackedInstances: ...

    def cast_weights(self, processor: str, device: torch.device, dtype: torch.dtype) -> LayerWeights: ...

    def make_plan(self, processor: str, weights: LayerWeights, packed: PackedInstances) -> LayerPlan: ...


class Placed(NamedTuple):
    """Packed instances, and the plans of the layers that use them, by processor and dtype of the queries."""

    packed: PackedInstances
    device: torch.device
    plans: dict[tuple[str, torch.dtype], LayerPlan]


class Plans:
    """The plans of all layers, each made once per run. A host may sample in threads.

    No entry is looked up twice: ``release`` may come between. Two threads may make the same plan; then
    both are right, and one is kept.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._weights: dict[tuple[str, torch.device, torch.dtype], LayerWeights] = {}
        self._placed: dict[Placement, Placed] = {}

    def place(self, planner: Planner, placement: Placement) -> Placed:
        """The instances on a placement, packed by the planner if they are not kept."""
        placed = self._placed.get(placement)
        if placed is None:
            placed = self._keep(placement, Placed(planner.pack(placement), placement.device, {}))
        return placed

    def plan(self, planner: Planner, processor: str, placed: Placed, dtype: torch.dtype) -> LayerPlan:
        """The plan of a layer for queries of this dtype, made by the planner if it is not kept."""
        plan = placed.plans.get((processor, dtype))
        if plan is None:
            key = (processor, placed.device, dtype)
            weights = self._weights.get(key)
            if weights is None:
                weights = self._weights[key] = planner.cast_weights(*key)
            plan = placed.plans[processor, dtype] = planner.make_plan(processor, weights, placed.packed)
        return plan

    def release(self) -> None:
        """Forget everything. Threads that still compute keep what they hold."""
        with self._lock:
            self._weights, self._placed = {}, {}

    def _keep(self, placement: Placement, made: Placed) -> Placed:
        with self._lock:
            while len(self._placed) >= MAX_PLACEMENTS:
                del self._placed[next(iter(self._placed))]  # the oldest
            return self._placed.setdefault(placement, made)


@dataclass
class UNetCall:
    """State of one UNet call, shared by all patches of one applied adapter.

    active: whether the adapter acts at the noise level of this call.
    tag: one tag per row, int32 (rows, 8), see rows.py; None if the call has no tags.
    slots: the patches of this call; None if unknown.
    in_tagged_run: whether the conditionings of the run have tags.
    reached: processors of the adapter's layers that the model has called.
    placed: ``batch_key`` -> the instances in such a batch, or None where the adapter is left out.
    """

    active: bool
    tag: Tensor | None
    slots: Slots | None = None
    in_tagged_run: bool = False
    reached: set[str] = field(default_factory=set)
    placed: dict[tuple, Placed | None] = field(default_factory=dict)
    _sigma: float | None = None

    def __post_init__(self) -> None:
        self._tagged_rows = None if self.tag is None else len(self.tag)

    def batch_key(self, extra_options: dict[str, Any], q: Tensor) -> tuple:
        """All that the instances of a batch depend on, within this call. q: (rows, h*w, C)."""
        count = q.shape[0]
        numbers: tuple = ()  # not used where each row has a tag
        if count != self._tagged_rows:
            numbers = tuple(tuple(extra_options.get(key, ())) for key in ROW_NUMBER_KEYS)
        return count, *extra_options["activations_shape"][-2:], q.device, numbers

    def sigma(self, extra_options: dict[str, Any]) -> float:
        """The highest noise level of the call. Reads it from the device once."""
        if self._sigma is None:
            self._sigma = extra_options["sigmas"].max().item()
        return self._sigma


class Run:
    """Record of the UNet calls of one sampling run."""

    def __init__(self, adapter: object, layers: Mapping[str, LayerId]) -> None:
        """adapter: the applied adapter, as its patches refer to it. layers: processor -> location."""
        self._adapter = adapter
        self._layers = layers
        self._active_calls = 0
        self._marked_calls = 0  # active ones whose rows have tags
        self._reached: set[str] = set()
        self._owners: dict[str, str] = {}  # processor -> pack whose patch the host called instead
        # Calls built outside of batch() that did not come to the adapter.
        self._in_batch = False
        self._bypassing = 0
        self._pending = 0  # 1 if the last one may still come
        self._acting = True  # at the noise level of the last recorded call

    @contextmanager
    def batch(self) -> Iterator[None]:
        """The host evaluates conditionings with the adapter's wrappers inside the ``with`` block."""
        outer, self._in_batch = self._in_batch, True
        try:
            yield
        finally:
            self._in_batch = outer

    def expect_call(self) -> None:
        """The host has built the inputs of a UNet call from tagged conditionings."""
        if not self._in_batch:
            self._bypassing += self._pending
            self._pending = int(self._acting)

    def meet_call(self) -> None:
        """The expected call has come to the adapter."""
        self._pending = 0

    def record(self, call: UNetCall) -> None:
        """Add a finished UNet call that came through the adapter's wrapper."""
        if not self._in_batch:
            self.meet_call()
        self._acting = call.active
        if not call.active:
            return
        self._active_calls += 1
        self._marked_calls += call.tag is not None
        self._reached |= call.reached
        for processor in self._layers.keys() - call.reached:
            occupant = _below_other_adapters(self._layers[processor], call.slots or {}, self._adapter)
            if getattr(occupant, "adapter", None) is not self._adapter:
                self._owners[processor] = _pack_of(occupant)

    def findings(self) -> Iterator[str]:
        """Warnings about this run, after its last call."""
        bypassing = self._bypassing + self._pending
        if bypassing:
            yield (
                "IFAdapter: another node ran the model without the adapter, with options that it copied "
                f"before IFAdapter Apply (UNet calls: {bypassing}). Place IFAdapter Apply before "
                "that node."
            )
        if self._active_calls and not self._marked_calls:
            yield (
                "IFAdapter: another node ran the model without the marks of the conditionings, so no row was "
                "taken for the positive prompt and the instances are missing. Remove the node that calls the "
                "model with arguments of its own, such as a model wrapper or tiled diffusion."
            )
        missing = self._layers.keys() - self._reached
        if not self._active_calls or not missing:
            return
        where = f"{len(missing)} of {len(self._layers)} layers"
        if replaced := missing & self._owners.keys():
            owners = ", ".join(sorted({self._owners[processor] for processor in replaced}))
            yield (
                "IFAdapter: the adapter is active, but another node replaced it in the model "
                f"({where}; there now: {owners}). Place IFAdapter Apply after other nodes that replace cross "
                "attention."
            )
        else:
            yield (
                f"IFAdapter: the adapter is active, but the model did not call it ({where}). If the "
                "model is compiled, remove the compile node: code that was compiled without the adapter "
                "does not run it. A node that reuses the outputs of whole blocks has the same effect."
            )


@runtime_checkable
class _AdapterPatch(Protocol):
    """What this module needs of an InstanceAttentionPatch."""

    adapter: object
    previous: Any


def _below_other_adapters(layer: LayerId, slots: Slots, adapter: object) -> Any:
    """The patch that the host calls at a layer, or what it chains to if it is another adapter's."""
    patch = slots.get(tuple(layer), slots.get(tuple(layer[:2])))
    while isinstance(patch, _AdapterPatch) and patch.adapter is not adapter:
        patch = patch.previous
    return patch


def _pack_of(patch: Any) -> str:
    """Name of the pack that made a patch: its folder in custom_nodes, else its Python module."""
    if patch is None:
        return "nothing"
    patch = getattr(patch, "func", patch)  # of a functools.partial
    module = getattr(patch, "__module__", None) or type(patch).__module__
    folder = re.search(r"custom_nodes[/\\.]([^/\\.]+)", module)
    return folder[1].replace("_x_", ".") if folder else module  # the host writes a folder's dots as _x_
