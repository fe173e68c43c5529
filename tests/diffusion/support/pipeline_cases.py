"""Tiny pipelines with a random adapter, and the same pipelines with the paper's equations in their layers.

The equations are those of tests/reference, in float64. Which row of the batch shows which layout, with or
without its words, is stated by each test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import reference
from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import AdapterWeights, release_name
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.storage import save_weights
from ifadapter_core.tokens import InstanceTokens
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.sampling import layout_tokens
from tiny_models import SHAPE, sd, sdxl, set_alpha
from training.new_adapter import adapter_config

HEIGHT, WIDTH = 32, 48  # pixels; a latent cell has 2 x 2
LATENTS = (16, 24)
STEPS = 2
TOLERANCE = 1e-4  # of the largest latent
CAT = Layout(
    WIDTH,
    HEIGHT,
    (
        Instance(Box(0.05, 0.1, 0.6, 0.95), "a red circle with white dots"),
        Instance(Box(0.4, 0.3, 0.95, 0.8), "a blue square", strength=0.7),
    ),
    "one circle and a square",
)
DOG = Layout(WIDTH, HEIGHT, (Instance(Box(0.3, 0.0, 0.9, 0.6), "a plain black triangle"),), "a triangle")
Row = tuple[Layout, bool]  # a layout, and whether its words are read


@dataclass(frozen=True)
class Case:
    """A pipeline for text to image, an adapter for it, and the adapter's file."""

    pipe: Any
    adapter: IFAdapter
    file: Path

    def tokens(self, layout: Layout) -> InstanceTokens:
        return layout_tokens(self.adapter, BaseModel(self.pipe), layout)


def make_case(kind: str, folder: Path) -> Case:
    """kind: "sd" or "sdxl". The adapter has no weights of zero. folder: for its file."""
    pipe = {"sd": sd, "sdxl": sdxl}[kind](folder.parent / "tokenizer")
    pipe.set_progress_bar_config(disable=True)
    torch.manual_seed(2)
    width = {"sd": 32, "sdxl": 64}[kind]
    adapter = IFAdapter(adapter_config(pipe.unet, width, SHAPE)).requires_grad_(False)
    for parameter in adapter.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    set_alpha(adapter, 0.8)
    file = folder / f"{kind}.safetensors"
    save_weights(AdapterWeights(adapter.config, adapter.state_dict()), file)
    return Case(pipe, adapter, file)


def same(got: Tensor, expected: Tensor) -> bool:
    """Whether latents are equal but for rounding: a CPU's results depend on where its memory is aligned."""
    return bool((got - expected).abs().max() < TOLERANCE * expected.abs().max())


def draw(pipe: Any, layouts: Any, **options: Any) -> Tensor:
    """Latents (B, 4, h, w) by a pipeline, or by an IFAdapterPipeline if ``layouts`` are given."""
    given = {
        "num_inference_steps": STEPS,
        "guidance_scale": 5.0,
        "generator": torch.Generator().manual_seed(1),
        "output_type": "latent",
        **options,
    }
    images = pipe(**given).images if layouts is None else pipe(layouts, **given).images
    return images if isinstance(images, Tensor) else torch.stack(list(images))


def prompts(layouts: Sequence[Layout], **options: Any) -> dict[str, Any]:
    """Arguments of a plain text-to-image call that draws layouts without an adapter."""
    size = {"height": layouts[0].height, "width": layouts[0].width}
    return {"prompt": [layout.prompt for layout in layouts], **size, **options}


@contextmanager
def equations(
    case: Case, pipe: Any, *rows: Sequence[Row], active: Sequence[bool] = (), strength: float = 1.0
) -> Iterator[None]:
    """Put the equations around the processors of a pipeline's adapted layers.

    rows: of the UNet calls; several for calls of different lengths. active: for each UNet call, whether
    the adapter acts; default: in all. strength: factor for all instances.
    """
    unet = pipe.unet
    weights = {release_name(name): tensor.double() for name, tensor in case.adapter.state_dict().items()}
    tokens = {layout: case.tokens(layout) for each in rows for layout, _ in each}
    before = dict(unet.attn_processors)
    names = list(before)
    processors: dict[str, Any] = dict(before)
    calls: list[int] = []
    handle = unet.register_forward_pre_hook(lambda *_: calls.append(0))
    for layer in case.adapter.config.layers:
        name = names[layer.processor]
        processors[name] = _Equations(
            before[name],
            reference.part(weights, f"adapter_modules.{layer.processor}."),
            {len(each): [(tokens[layout], positive) for layout, positive in each] for each in rows},
            strength,
            lambda: not active or active[len(calls) - 1],
        )
    unet.set_attn_processor(processors)
    try:
        yield
    finally:
        handle.remove()
        unet.set_attn_processor(before)


class _Equations:
    def __init__(
        self,
        inner: Any,
        weights: reference.StateDict,
        rows: dict[int, list[tuple[InstanceTokens, bool]]],
        strength: float,
        is_active: Any,
    ) -> None:
        self.inner, self.weights, self.rows = inner, weights, rows
        self.strength, self.is_active = strength, is_active

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The inner processor without its output projection, plus the residual of each row."""
        projection, attn.to_out = attn.to_out, nn.ModuleList([nn.Identity(), nn.Identity()])
        try:
            out = self.inner(attn, hidden_states, *args, **kwargs)
        finally:
            attn.to_out = projection
        q = attn.to_q(hidden_states)
        if self.is_active():
            height, width = LATENTS
            if height * width != q.shape[1]:
                height, width = height // 2, width // 2
            out = out.clone()
            for row, (tokens, positive) in enumerate(self.rows[len(q)]):
                if not len(tokens.boxes):
                    continue
                given = tokens.cond if positive else tokens.uncond
                residual = reference.layer_residual(
                    self.weights,
                    q[row, None].double(),
                    given.double()[None],
                    tokens.boxes.double(),
                    height,
                    width,
                    strengths=[self.strength * own for own in tokens.strengths],
                )
                out[row] += residual[0].to(out)
        return attn.to_out[1](attn.to_out[0](out))
