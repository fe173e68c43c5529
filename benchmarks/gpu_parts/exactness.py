"""Part 1: the core on the device against tests/reference in float64 on the CPU."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from layers import addition
from torch import Tensor

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import AdapterWeights, build_adapter, read_checkpoint
from ifadapter_core.geometry import build_geometry
from ifadapter_core.modules.attention import KeysValues
from ifadapter_core.packing import pack_instances

from .options import KERNELS, Options
from .report import Part, Row

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

import reference

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ORDERS = {"gate_before_softmax": "release", "gate_after_softmax": "paper"}
CPU = torch.device("cpu")
TEXT_WIDTH, TOKENS, ROWS = 24, 13, 2


@dataclass(frozen=True)
class Scene:
    """Random instances in one layer. width, head_dim: channels. grid: height and width in cells."""

    count: int
    width: int
    head_dim: int
    grid: tuple[int, int]

    @property
    def boxes(self) -> Tensor:
        return random_boxes(self.count)


SCENES = [Scene(count, 32, 16, (9, 12)) for count in (1, 4, 12)]
# With the layers of SDXL; 12 are more than the softmax has slots.
ALL_SCENES = [
    *(Scene(count, 32, 16, (9, 12)) for count in (1, 2, 4, 7, 10, 12, 20)),
    Scene(4, 1280, 64, (32, 32)),
    Scene(12, 1280, 64, (26, 38)),
]


def random_boxes(count: int) -> Tensor:
    """Boxes (count, 4) of any size and place, at least 0.05 wide and high."""
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(count)) * 0.95
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1) + 0.05], dim=1)


def run(part: Part, options: Options) -> None:
    """Errors of the device and of the CPU in each dtype, relative to the largest value of the reference.

    float32 without TF32.
    """
    matmul, convolution = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        for quirk in (True, False):
            part.row(
                {"what": "tokens", "variant": f"quirk {'on' if quirk else 'off'}"}, _tokens(quirk, options)
            )
        scenes = SCENES if options.small else ALL_SCENES
        for scene, order in itertools.product(scenes, ORDERS):
            what = {
                "what": "layer",
                "variant": f"{scene.count} instances, {scene.width} wide, {ORDERS[order]}",
            }
            part.row(what, _layer(scene, order, options))
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, convolution


def _tokens(quirk: bool, options: Options) -> Callable[[Row], None]:
    def fill(row: Row) -> None:
        checkpoint = reference.make_release_checkpoint(text_width=TEXT_WIDTH)
        lengths, generator = torch.tensor([9, 3, 14, 1, 6]), torch.Generator().manual_seed(0)
        texts = torch.randn(len(lengths), 3, 16, TEXT_WIDTH, generator=generator)
        mask = (torch.arange(16) < lengths[:, None]).long()
        ends = torch.randn(len(lengths), TEXT_WIDTH, generator=generator)
        boxes = random_boxes(len(lengths))
        want = reference.instance_tokens(
            reference.double(checkpoint), texts.double(), mask, ends.double(), boxes, quirk
        )
        weights = _with_settings(read_checkpoint(checkpoint), cumulative_mask=quirk)

        def got(device: torch.device, dtype: torch.dtype) -> Tensor:
            adapter = _adapter(weights, device, dtype)
            inputs = (texts.to(device, dtype), mask.to(device), ends.to(device, dtype), boxes)
            return adapter.encode_instances(*inputs).cond

        _compare(row, got, want, options)

    return fill


def _with_settings(weights: Any, **changed: Any) -> Any:
    """The weights with other settings of the adapter."""
    settings = replace(weights.config.settings, **changed)
    return replace(weights, config=replace(weights.config, settings=settings))


def _layer(scene: Scene, order: Any, options: Options) -> Callable[[Row], None]:
    def fill(row: Row) -> None:
        layers = [(49, scene.width, scene.head_dim)]
        checkpoint = reference.make_release_checkpoint(text_width=TEXT_WIDTH, layers=layers)
        generator = torch.Generator().manual_seed(scene.count)
        q = torch.randn(ROWS, scene.grid[0] * scene.grid[1], scene.width, generator=generator)
        tokens = torch.randn(ROWS, scene.count, TOKENS, TEXT_WIDTH, generator=generator)
        exact = reference.part(reference.double(checkpoint)["adapter_modules"], "49.")
        want = reference.layer_residual(
            exact, q.double(), tokens.double(), scene.boxes, *scene.grid, order=ORDERS[order]
        )
        weights = _with_settings(read_checkpoint(checkpoint), fusion_order=order)

        def got(device: torch.device, dtype: torch.dtype) -> Tensor:
            adapter = _adapter(weights, device, dtype)
            on_device = q.to(device, dtype), tokens.to(device, dtype)
            return layer_output(adapter, "49", *on_device, scene.boxes, scene.grid)

        _compare(row, got, want, options)

    return fill


def _adapter(weights: AdapterWeights, device: torch.device, dtype: torch.dtype) -> IFAdapter:
    moved = {name: tensor.to(device, dtype) for name, tensor in weights.tensors.items()}
    return build_adapter(replace(weights, tensors=moved))


def layer_output(
    adapter: IFAdapter,
    processor: str,
    q: Tensor,
    tokens: Tensor,
    boxes: Tensor,
    grid: tuple[int, int],
) -> Tensor:
    """What one layer adds: q (R, h*w, C), tokens (R, N, M, D), boxes (N, 4) -> (R, h*w, C)."""
    both = adapter.keys_values(processor, tokens)
    instances = KeysValues(both.k.flatten(0, 1), both.v.flatten(0, 1))
    geometries, strengths = [build_geometry(boxes, *grid)] * len(q), [[1.0] * len(boxes)] * len(q)
    packed = pack_instances(geometries, strengths, q.device)
    return addition(adapter.layers[processor], instances, packed)(q, torch.zeros_like(q))


def _compare(
    row: Row,
    got: Callable[[torch.device, torch.dtype], Tensor],
    want: Tensor,
    options: Options,
) -> None:
    """Add {"float32": {"device": error, "cpu": error}, ...} to the row; for other kernels, by their name."""
    scale = want.abs().max()

    def error(value: Tensor) -> float:
        return ((value.to(CPU, torch.float64) - want).abs().max() / scale).item()

    with torch.inference_mode():
        for name, dtype in DTYPES.items():
            with KERNELS["torch"]():
                row[name] = {
                    "device": error(got(options.device, dtype)),
                    "cpu": error(got(CPU, dtype)),
                }
        if row["what"] == "layer":
            for kernel in (kernel for kernel in options.kernels if kernel != "torch"):
                with KERNELS[kernel]():
                    for name, dtype in DTYPES.items():
                        row[name][kernel] = error(got(options.device, dtype))
