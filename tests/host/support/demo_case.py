"""The demo's outputs, a layout for its models, and denoising with the host's guider."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import comfy.sample
import comfy.samplers
import comfy.sd
import torch
from torch import Tensor

import nodes

SUPPORT = Path(__file__).resolve().parent
DEMO = SUPPORT.parents[2] / "demo"
TOLERANCE = 1e-4  # on values of order 1
SIDE_PX = 128
SCHEDULE = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
LAYOUT = json.dumps(
    {
        "caption": "a circle, a star and a square on a beige background",
        "boxes": [
            {"x": 0.05, "y": 0.1, "w": 0.45, "h": 0.4, "caption": "a red circle with white dots"},
            {"x": 0.4, "y": 0.3, "w": 0.5, "h": 0.5, "caption": "a yellow star with a black border"},
            {"x": 0.1, "y": 0.55, "w": 0.4, "h": 0.4, "caption": "a plain green square", "strength": 0.7},
        ],
    }
)


class Demo(NamedTuple):
    """Outputs of the demo node."""

    model: Any
    clip: Any
    vae: Any
    ifadapter: Any


def encode_text(demo: Demo, text: str) -> list:
    return nodes.CLIPTextEncode().encode(demo.clip, text)[0]


TIMESTEPS = (999, 949, 749, 499, 249, 49, 0)


def denoised(model: Any, prompts: tuple[list, list], latents: Tensor) -> dict[str, Tensor]:
    """The host's denoised latents at TIMESTEPS, for the negative and the positive prompt."""
    sigmas = model.get_model_object("model_sampling").sigmas[list(TIMESTEPS)]
    seen: dict[str, list[Tensor]] = {"uncond": [], "cond": []}

    def see(args: dict[str, Any]) -> Tensor:
        for row, values in seen.items():
            values.append(args[f"{row}_denoised"])
        return args["denoised"]

    def visit(
        predict: Callable[..., Tensor], x: Tensor, sigmas: Tensor, extra_args: dict[str, Any], **_: Any
    ) -> Tensor:
        for latent, sigma in zip(latents, sigmas, strict=True):
            predict(latent[None] * (1 + sigma**2) ** 0.5, sigma[None], **extra_args)
        return x

    watched = model.clone()
    watched.set_model_sampler_post_cfg_function(see)
    guider = comfy.samplers.CFGGuider(watched)
    guider.set_conds(*prompts)
    guider.set_cfg(2.0)
    start = torch.zeros_like(latents[:1])
    guider.sample(start, start, comfy.samplers.KSAMPLER(visit), sigmas, disable_pbar=True, seed=1)
    return {row: torch.cat(values) for row, values in seen.items()}
