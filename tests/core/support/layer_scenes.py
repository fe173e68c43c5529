"""Small adapters, random text features and random instances, for comparison with tests/reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

import reference
from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import AdapterWeights, build_adapter, read_checkpoint
from ifadapter_core.geometry import Geometry, build_geometry
from ifadapter_core.modules.attention import KeysValues
from ifadapter_core.packing import pack_instances

TOLERANCE = 1e-5
PROCESSOR, WIDTH = 49, 32  # the layer that most tests use
OTHER_PROCESSOR, OTHER_WIDTH = 121, 48
TEXT_WIDTH = 24
ORDERS = {"gate_before_softmax": "release", "gate_after_softmax": "paper"}


@cache
def checkpoint(seed: int = 0) -> reference.Checkpoint:
    return reference.make_release_checkpoint(seed, text_width=TEXT_WIDTH)


@cache
def exact_checkpoint(seed: int = 0) -> reference.Checkpoint:
    return reference.double(checkpoint(seed))


@cache
def adapter(
    seed: int = 0, quirk: bool = True, order: str = "gate_before_softmax", slots: int = 10
) -> IFAdapter:
    weights = read_checkpoint(checkpoint(seed))
    chosen: Any = {"cumulative_mask": quirk, "fusion_order": order, "slots": slots}
    config = replace(weights.config, settings=replace(weights.config.settings, **chosen))
    return build_adapter(AdapterWeights(config, weights.tensors))


def exact_layer(processor: int = PROCESSOR) -> reference.StateDict:
    return reference.part(exact_checkpoint()["adapter_modules"], f"{processor}.")


def difference(got: Tensor, want: Tensor) -> float:
    assert got.shape == want.shape
    return (got.double() - want.double()).abs().max().item()


@dataclass(frozen=True)
class Phrases:
    """Inputs of ``IFAdapter.encode_instances`` for N instances."""

    phrase_embeds: Tensor
    attention_mask: Tensor
    eot_embeds: Tensor
    boxes: Tensor

    def all(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.phrase_embeds.to(dtype), self.attention_mask, self.eot_embeds.to(dtype), self.boxes


def make_phrases(
    seed: int,
    lengths: list[int],
    tokens: int,
    boxes: Tensor | None = None,
    mask_dtype: torch.dtype = torch.int64,
) -> Phrases:
    """Random text features. lengths: tokens from BOS to EOT per instance; 0 is the null condition."""
    generator = torch.Generator().manual_seed(seed)
    count = len(lengths)
    corners = (
        torch.rand(count, 2, 2, generator=generator).sort(dim=1).values.flatten(1) if boxes is None else boxes
    )
    return Phrases(
        torch.randn(count, 3, tokens, TEXT_WIDTH, generator=generator),
        (torch.arange(tokens) < torch.tensor(lengths)[:, None]).to(mask_dtype),
        torch.randn(count, TEXT_WIDTH, generator=generator),
        corners,
    )


FRACTIONS = st.one_of(
    st.floats(0, 1, width=32),
    # Grid lines, among them 0.7 of ten cells.
    st.tuples(st.integers(0, 24), st.integers(1, 24)).map(lambda pair: min(pair) / max(pair)),
    st.sampled_from([0.0, 1.0, 0.1, 0.7, 0.999999, 1e-6]),
)


@st.composite
def spans(draw: st.DrawFn) -> tuple[float, float]:
    """Two different edges in order, including tiny spans, whole spans and spans at a border."""
    kind = draw(st.sampled_from(["any", "any", "tiny", "whole", "start", "end"]))
    if kind == "whole":
        return 0.0, 1.0
    if kind == "tiny":
        start = draw(st.floats(0, 0.998))
        return start, start + draw(st.sampled_from([1e-6, 1e-4, 1e-3]))
    first, second = draw(FRACTIONS), draw(FRACTIONS)
    if kind == "start":
        first = 0.0
    if kind == "end":
        second = 1.0
    low, high = min(first, second), max(first, second)
    return (low, high) if high - low > 1e-7 else (min(low, 0.5), min(low, 0.5) + 0.25)


@st.composite
def single_boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    (x0, x1), (y0, y1) = draw(spans()), draw(spans())
    return x0, y0, x1, y1


def covered_cells(geometry: Geometry) -> Tensor:
    """Dense masks of covered cells: (N, h, w) booleans."""
    masks = torch.zeros(len(geometry.coverages), geometry.height, geometry.width, dtype=torch.bool)
    for mask, coverage in zip(masks, geometry.coverages, strict=True):
        mask[coverage.cells.rows, coverage.cells.columns] = (
            True if coverage.visible is None else coverage.visible
        )
    return masks


def front_only(masks: Tensor) -> Tensor:
    """Keep each cell only for the last instance that covers it."""
    kept = masks.clone()
    for i in range(len(masks)):
        for nearer in masks[i + 1 :]:
            kept[i] &= ~nearer
    return kept


@dataclass(frozen=True)
class Scene:
    """Instances on a layer's grid, with random queries (R, h w, C) and tokens (R, N, M, D)."""

    boxes: Tensor
    height: int
    width: int
    seed: int = 0
    rows: int = 2

    @property
    def count(self) -> int:
        return len(self.boxes)

    def queries(self, width: int = WIDTH) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(self.rows, self.height * self.width, width, generator=generator)

    def tokens(self, per_instance: int = 13) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed + 1)
        return torch.randn(self.rows, self.count, per_instance, TEXT_WIDTH, generator=generator)


@st.composite
def scenes(draw: st.DrawFn, min_count: int = 1, max_count: int = 14) -> Scene:
    boxes: list[tuple[float, float, float, float]] = []
    for _ in range(draw(st.integers(min_count, max_count))):
        twin = boxes and draw(st.integers(0, 5)) == 0
        boxes.append(draw(st.sampled_from(boxes)) if twin else draw(single_boxes()))
    height, width = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    return Scene(torch.tensor(boxes), height, width, draw(st.integers(0, 99)), draw(st.integers(1, 3)))


def run(
    net: IFAdapter,
    scene: Scene,
    masks: Tensor | None = None,
    front_hides_back: bool = False,
    strengths: list[float] | None = None,
    processor: int = PROCESSOR,
    q: Tensor | None = None,
    tokens: Tensor | None = None,
    in_chunks: bool = True,
) -> Tensor:
    """Residual of one layer, computed by the core. in_chunks: as on a CPU; False: as on a GPU."""
    q = scene.queries() if q is None else q
    keys_values = net.keys_values(str(processor), scene.tokens() if tokens is None else tokens)
    geometry = build_geometry(scene.boxes, scene.height, scene.width, masks, front_hides_back)
    packed = pack_instances(
        [geometry] * len(q), [strengths or [1.0] * scene.count] * len(q), in_chunks=in_chunks
    )
    return net.layers[str(processor)](q, flatten_rows(keys_values), packed)


def flatten_rows(keys_values: KeysValues) -> KeysValues:
    """Join the batch rows: (R, N, M, C) -> (R * N, M, C)."""
    return KeysValues(keys_values.k.flatten(0, 1), keys_values.v.flatten(0, 1))


def run_reference(scene: Scene, tokens: Tensor | None = None, **options: Any) -> Tensor:
    q, tokens = scene.queries().double(), (scene.tokens() if tokens is None else tokens).double()
    return reference.layer_residual(
        exact_layer(), q, tokens, scene.boxes, scene.height, scene.width, **options
    )


OVERLAPPING = Scene(
    torch.tensor(
        [
            [0.05, 0.1, 0.6, 0.7],
            [0.3, 0.3, 0.95, 0.9],
            [0.5, 0.0, 0.8, 0.5],
            [0.3, 0.3, 0.95, 0.9],
            [0.01, 0.93, 0.02, 0.94],
        ]
    ),
    height=9,
    width=12,
)
WHOLE_CANVAS = Scene(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), height=5, width=7)
