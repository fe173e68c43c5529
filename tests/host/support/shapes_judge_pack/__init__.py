"""A node pack for tests: the programs for the drawn world as a detector and as a vision-language model."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
from comfy_api.latest import ComfyExtension, io
from PIL import Image
from torch import Tensor

# Resolved: the pack may be a link. Last, because the project has packages of the host's names.
sys.path.append(str(Path(__file__).resolve().parents[4]))

from evaluation.judge.drawn_world import ShapesDetector, ShapesVerifier

DESCRIPTION = re.compile(r"Description: (.*)")  # in the question of IFAdapter Crops


def pictures(images: Tensor) -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in (images * 255).round().numpy().astype(np.uint8)]


def bounding_box(box: tuple[float, float, float, float], score: float) -> dict[str, float]:
    x0, y0, x1, y1 = box
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "score": score}


class Detector(io.ComfyNode):
    """Finds what a text describes, with a frame for each image, as SAM 3 does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "IFAdapterTestDetector",
            inputs=[io.Image.Input("image"), io.String.Input("text")],
            outputs=[io.Custom("BOUNDING_BOX").Output(display_name="boxes")],
        )

    @classmethod
    def execute(cls, image: Tensor, text: str) -> io.NodeOutput:
        frames = [ShapesDetector().detect(picture, [text]) for picture in pictures(image)]
        return io.NodeOutput([[bounding_box(found.box, found.score) for found in frame] for frame in frames])


class Reader(io.ComfyNode):
    """Answers the question whether a picture fits a description, as Generate Text does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "IFAdapterTestReader",
            inputs=[io.Image.Input("image"), io.String.Input("prompt")],
            outputs=[io.String.Output(display_name="text")],
        )

    @classmethod
    def execute(cls, image: Tensor, prompt: str) -> io.NodeOutput:
        (picture,) = pictures(image)
        verdict = ShapesVerifier().verify(picture, DESCRIPTION.search(prompt)[1])
        return io.NodeOutput(
            {True: "<think>Looks like it.</think>Yes.", False: "No.", None: ""}[verdict.fits]
        )


class JudgeExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [Detector, Reader]


async def comfy_entrypoint() -> JudgeExtension:
    return JudgeExtension()
