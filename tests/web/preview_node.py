"""Nodes for the editor's tests."""

import json
import time
from typing import Any

import torch
from comfy.model_management import throw_exception_if_processing_interrupted
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


class Picture(io.ComfyNode):
    """Pictures of a layout as a sampler would make them: each in one colour."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "IFAdapterTestPicture",
            inputs=[
                io.Custom("IFADAPTER_LAYOUT").Input("layout"),
                io.Int.Input("side", default=256),
                io.Int.Input("count", default=1),
                io.Int.Input("seed", default=0),
            ],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(cls, layout: Any, side: int, count: int, seed: int) -> io.NodeOutput:
        pictures = torch.zeros(count, side, side, 3)
        for number, picture in enumerate(pictures):
            picture[:] = torch.tensor([number / max(count, 1), (seed % 8) / 8, 0.5])
            for instance in layout.instances:
                x0, y0, x1, y1 = (round(side * edge) for edge in instance.box)
                picture[y0:y1, x0:x1] = 1 - picture[y0:y1, x0:x1]
        preview = ("JPEG", Image.new("RGB", (side // 4, side // 4), "orange"), None)
        ProgressBar(2).update_absolute(1, 2, preview)
        return io.NodeOutput(pictures)


class Answers(io.ComfyNode):
    """A list of answers as a vision-language model gives them for a list of crops, from JSON."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "IFAdapterTestAnswers",
            inputs=[io.String.Input("answers", default="[]")],
            outputs=[io.String.Output(display_name="answers", is_output_list=True)],
        )

    @classmethod
    def execute(cls, answers: str) -> io.NodeOutput:
        return io.NodeOutput(json.loads(answers))


class Slow(io.ComfyNode):
    """Runs until it is interrupted, for half a minute at most, and reports its progress."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "IFAdapterTestSlow",
            inputs=[io.Custom("IFADAPTER_LAYOUT").Input("layout")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, layout: Any) -> io.NodeOutput:
        bar = ProgressBar(300)
        for step in range(300):
            throw_exception_if_processing_interrupted()
            bar.update_absolute(150 + step // 2, 300)
            time.sleep(0.1)
        return io.NodeOutput()


class PreviewExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [SendPreview, LinkedBoxes, Picture, Answers, Slow]


async def comfy_entrypoint() -> PreviewExtension:
    return PreviewExtension()
