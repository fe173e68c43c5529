"""Nodes for the editor's tests."""

import json

from comfy.utils import ProgressBar
from comfy_api.latest import ComfyExtension, io
from PIL import Image


class SendPreview(io.ComfyNode):
    """Sends a preview during the run, as samplers do, and has no output."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "IFAdapterTestPreview", inputs=[io.Int.Input("side", default=96)], is_output_node=True
        )

    @classmethod
    def execute(cls, side: int) -> io.NodeOutput:
        ProgressBar(2).update_absolute(1, 2, ("JPEG", Image.new("RGB", (side, side), "orange"), None))
        return io.NodeOutput()


class LinkedBoxes(io.ComfyNode):
    """Boxes as detectors give them, from JSON."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "IFAdapterTestBoxes",
            inputs=[io.String.Input("boxes", default="[]")],
            outputs=[io.Custom("BOUNDING_BOX").Output(display_name="boxes")],
        )

    @classmethod
    def execute(cls, boxes: str) -> io.NodeOutput:
        return io.NodeOutput([json.loads(boxes)])


class PreviewExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [SendPreview, LinkedBoxes]


async def comfy_entrypoint() -> PreviewExtension:
    return PreviewExtension()
