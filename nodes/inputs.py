"""Inputs that more than one node has."""

from comfy_api.latest import io

from .types import IFAdapterType, LayoutType


def model_input() -> io.Input:
    return io.Model.Input(
        "model", tooltip="The model, of the adapter's base (SDXL for the release). It is not changed."
    )


def ifadapter_input() -> io.Input:
    return IFAdapterType.Input(
        "ifadapter", tooltip="The adapter from Load IFAdapter, the same one for every node of a layout."
    )


def clip_input() -> io.Input:
    return io.Clip.Input(
        "clip",
        tooltip="The checkpoint's CLIP. Its clip skip is ignored: the adapter reads layers of its own.",
    )


def layout_input() -> io.Input:
    return LayoutType.Input("layout", tooltip="The layout: boxes and local descriptions.")


def schedule_inputs() -> list[io.Input]:
    """How strongly the adapter acts, and in which part of the schedule."""
    strength = "How strongly the adapter acts: 1 as trained, 0 not at all."
    start = (
        "Where in the model's noise schedule the adapter starts: 0 is pure noise. Not a share of the steps: with denoise below 1 the "
        "first part never happens."
    )
    end = (
        "Where in the model's noise schedule the adapter stops: 1 is the finished picture. With a style LoRA, 0.3 leaves the rest to "
        "the LoRA."
    )
    return [
        io.Float.Input("strength", default=1.0, min=0.0, max=3.0, step=0.01, tooltip=strength),
        io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001, tooltip=start),
        io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.001, tooltip=end),
    ]
