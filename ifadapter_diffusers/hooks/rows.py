"""The layouts of a batch in the rows of a UNet call: what is computed once for a layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.geometry import Geometry
from ifadapter_core.modules.plan import LayerPlan, make_plan
from ifadapter_core.packed import PackedInstances
from ifadapter_core.packing import pack_instances
from ifadapter_core.semantic_map import SemanticMap


class LayoutRows:
    """Keys, values and placements of different layouts, and the plans of the layers.

    Rows of a guided call: all images with null tokens, then all images with their instances. Rows of
    any other call: all images with their instances.
    """

    @torch.no_grad()
    def __init__(
        self, adapter: IFAdapter, maps: Sequence[SemanticMap], images: Sequence[int], strength: float
    ) -> None:
        """Projects the tokens of all maps to keys and values.

        maps: one for each different layout, with tokens on the adapter's device.
        images: for each picture of the batch, the index of its map.
        strength: factor for all instances.
        """
        self._layers = adapter.layers
        self._maps, self._images, self._strength = maps, images, strength
        self._firsts = [sum(len(each.tokens) for each in maps[:number]) for number in range(len(maps) + 1)]
        # Order of the keys and values: the instances of all maps, then their null tokens.
        tokens = torch.cat([each.tokens.cond for each in maps] + [each.tokens.uncond for each in maps])
        self._keys_values = {key: adapter.keys_values(key, tokens) for key in adapter.projections}
        self._geometries: dict[tuple[int, int], list[Geometry]] = {}
        self._packed: dict[tuple, PackedInstances] = {}
        self._plans: dict[tuple, LayerPlan] = {}

    def count(self, guided: bool) -> int:
        """The number of rows of a UNet call."""
        return len(self._images) * (2 if guided else 1)

    @torch.no_grad()
    def plan(self, key: str, q: Tensor, grid: tuple[int, int], guided: bool) -> LayerPlan:
        """The plan of one layer, memoized.

        key: of the layer in ``IFAdapter.layers``. q: (rows, h*w, C) queries, which give device and
        dtype. grid: h, w.
        """
        name = (key, grid, guided, q.device, q.dtype)
        if name not in self._plans:
            layer, given = self._layers[key], self._keys_values[key]
            weights = layer.weights(q.device, q.dtype)  # type: ignore[operator]
            self._plans[name] = make_plan(weights, given.k, given.v, self._pack(grid, guided, q.device))
        return self._plans[name]

    def smaller_than_a_cell(self) -> Iterator[tuple[int, int, list[int]]]:
        """For each grid so far: its height, its width, and the numbers, from 1, of such boxes."""
        for height, width in self._geometries:
            size = torch.tensor([width, height])
            for each in self._maps:
                sides = (each.tokens.boxes[:, 2:] - each.tokens.boxes[:, :2]) * size
                if small := ((sides.amin(dim=1) < 1).nonzero()[:, 0] + 1).tolist():
                    yield height, width, small

    def _pack(self, grid: tuple[int, int], guided: bool, device: torch.device) -> PackedInstances:
        name = (grid, guided, device)
        if name not in self._packed:
            if grid not in self._geometries:
                self._geometries[grid] = [each.geometry(*grid) for each in self._maps]
            geometries: list[Geometry] = []
            strengths: list[list[float]] = []
            sources: list[int] = []
            for null in (True, False) if guided else (False,):
                for image in self._images:
                    geometries.append(self._geometries[grid][image])
                    strengths.append([self._strength * own for own in self._maps[image].tokens.strengths])
                    start = self._firsts[-1] if null else 0
                    sources += range(start + self._firsts[image], start + self._firsts[image + 1])
            self._packed[name] = pack_instances(geometries, strengths, device, sources)
        return self._packed[name]
