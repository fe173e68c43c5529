"""Inputs that several nodes share, and the conversion of pictures to the host's IMAGE."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from comfy_api.latest import io
from PIL import Image
from torch import Tensor

from .types import IFAdapterType, LayoutType

Value = TypeVar("Value")
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


def side_input(name: str, tooltip: str, optional: bool = False) -> io.Input:
    """Width or height of a picture in pixels."""
    return io.Int.Input(name, default=1024, min=64, max=16384, step=8, optional=optional, tooltip=tooltip)


def bbox_format_input(more: str = "") -> io.Input:
    """Meaning of linked boxes that are four plain numbers. more: a further sentence of the tooltip."""
    return io.Combo.Input(
        "bbox_format",
        options=["xywh", "xyxy"],
        default="xywh",
        optional=True,
        advanced=True,
        tooltip="Meaning of linked boxes that are four plain numbers (BBOX). xywh: left, top, width, height. "
        "xyxy: left, top, right, bottom." + more,
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


def only_value(name: str, values: Sequence[Value]) -> Value:
    """The value of an input that takes a single one, in a node that gets lists. Raises ValueError."""
    if not values:
        raise ValueError(
            f"The input {name} got an empty list; expected one value. Remove its link, or see why the "
            "linked node gives none."
        )
    if any(value != values[0] for value in values):
        raise ValueError(
            f"The input {name} got a list of {len(values)} values; expected one. This node runs once for all "
            "entries of its lists."
        )
    return values[0]


def picture_size(images: Sequence[Tensor]) -> tuple[int, int]:
    """Width and height in pixels of the one picture in a list of IMAGE batches (N, H, W, C).

    Raises ValueError for several pictures.
    """
    count = sum(len(batch) for batch in images)
    if count != 1:
        raise ValueError(f"{count} pictures are linked; a layout is one picture. Link one of them.")
    return int(images[0].shape[2]), int(images[0].shape[1])


def to_pictures(images: Tensor) -> list[Image.Image]:
    """The pictures of an IMAGE (N, height, width, channels), in RGB. Raises ValueError for other shapes."""
    if images.ndim != 4 or images.shape[-1] not in (3, 4):
        raise ValueError(
            f"An image of shape {tuple(images.shape)} is linked; expected (images, height, width, 3)."
        )
    pixels = (images[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return [Image.fromarray(each) for each in pixels]


def to_image(picture: Image.Image) -> Tensor:
    """A picture as an IMAGE (1, height, width, 3), float32 in 0..1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)[None]
