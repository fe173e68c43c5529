"""Nodes for tests in place of nodes that need large models: SAM 3, and those of ComfyUI_IPAdapter_plus."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor


class IFAdapterTestFound(io.ComfyNode):
    """Replaces SAM3_Detect: one box in the middle of each picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterTestFound",
            category="IFAdapter/tests",
            inputs=[io.Image.Input("image"), io.Conditioning.Input("conditioning")],
            outputs=[io.Mask.Output(), io.Custom("BOUNDING_BOX").Output()],
        )

    @classmethod
    def execute(cls, image: Tensor, conditioning: Any) -> io.NodeOutput:
        _, height, width, _ = image.shape
        box = {"x": width // 4, "y": height // 4, "width": width // 2, "height": height // 2, "score": 0.9}
        return io.NodeOutput(image[..., 0], [[dict(box)] for _ in image])


class IPAdapterUnifiedLoader(io.ComfyNode):
    """Passes the model on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IPAdapterUnifiedLoader",
            category="IFAdapter/tests",
            inputs=[io.Model.Input("model"), io.String.Input("preset")],
            outputs=[io.Model.Output(), io.Custom("IPADAPTER").Output()],
        )

    @classmethod
    def execute(cls, model: Any, preset: str) -> io.NodeOutput:
        return io.NodeOutput(model, preset)


class IPAdapterAdvanced(io.ComfyNode):
    """Passes the model on, if it gets one mask with something in it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IPAdapterAdvanced",
            category="IFAdapter/tests",
            inputs=[
                io.Model.Input("model"),
                io.Custom("IPADAPTER").Input("ipadapter"),
                io.Image.Input("image"),
                io.Mask.Input("attn_mask"),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: Any, ipadapter: str, image: Tensor, attn_mask: Tensor) -> io.NodeOutput:
        if attn_mask.shape[0] != 1 or not 0 < float(attn_mask.mean()) < 1:
            raise ValueError(
                f"The mask has shape {tuple(attn_mask.shape)} and mean {float(attn_mask.mean())}."
            )
        return io.NodeOutput(model)


NODES = [IFAdapterTestFound, IPAdapterUnifiedLoader, IPAdapterAdvanced]
