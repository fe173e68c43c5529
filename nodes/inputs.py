"""Inputs that several nodes share, and the conversion of pictures to the host's IMAGE."""

import numpy as np
import torch
from comfy_api.latest import io
from PIL import Image
from torch import Tensor

from .types import IFAdapterType, LayoutType

WHOLE_BOX, VISIBLE_PART = "whole box", "visible part"


def model_input() -> io.Input:
    return io.Model.Input(
        "model",
        tooltip="A model of the adapter's base model (SDXL for the released adapter). It is not changed.",
    )


def ifadapter_input() -> io.Input:
    return IFAdapterType.Input(
        "ifadapter",
        tooltip="The adapter from Load IFAdapter. Use the same adapter for all nodes of a layout.",
    )


def clip_input() -> io.Input:
    return io.Clip.Input(
        "clip",
        tooltip="The checkpoint's CLIP. Its clip skip is ignored: the adapter reads fixed layers.",
    )


def layout_input() -> io.Input:
    return LayoutType.Input("layout", tooltip="The layout: boxes and local descriptions.")


def area_input() -> io.Input:
    return io.Combo.Input(
        "area",
        options=[WHOLE_BOX, VISIBLE_PART],
        default=WHOLE_BOX,
        tooltip="whole box: each mask covers its box. visible part: without what nearer boxes cover.",
    )


def is_visible(area: str) -> bool:
    """Whether masks leave out what nearer boxes cover. area: value of ``area_input``."""
    return area == VISIBLE_PART


def feather_input() -> io.Input:
    return io.Int.Input(
        "feather",
        default=0,
        min=0,
        max=4096,
        tooltip="Pixels over which a mask falls to 0 at its edges, inside of the box. Edges of the picture "
        "stay hard.",
    )


def schedule_inputs() -> list[io.Input]:
    """Strength of the adapter, and the part of the noise schedule in which it acts."""
    strength = "How strongly the adapter acts: 1 is the trained strength, 0 switches it off."
    start = (
        "Where the adapter starts in the model's noise schedule; 0 is pure noise. This is not a "
        "share of the steps: with denoise below 1, the first part of the schedule is skipped."
    )
    end = (
        "Where the adapter stops in the model's noise schedule; 1 is the finished picture. With a "
        "style LoRA, use 0.3: the adapter places the instances and the LoRA does the rest."
    )
    return [
        io.Float.Input("strength", default=1.0, min=0.0, max=3.0, step=0.01, tooltip=strength),
        io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001, tooltip=start),
        io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.001, tooltip=end),
    ]


def to_image(picture: Image.Image) -> Tensor:
    """A picture as an IMAGE (1, height, width, 3), float32 in 0..1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)[None]
