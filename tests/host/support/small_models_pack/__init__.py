"""A node pack for tests: the small random models as nodes, instead of loaders of files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import comfy.sd
import comfy.sd1_clip
from comfy_api.latest import ComfyExtension, io

HERE = Path(__file__).resolve().parent  # resolved: the pack may be a link
sys.path.append(str(HERE.parent))

import small_models  # noqa: E402

from . import answers, detectors, language_models, other_packs  # noqa: E402


class IFAdapterTestModels(io.ComfyNode):
    """Replaces CheckpointLoaderSimple; same outputs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterTestModels",
            display_name="IFAdapter Test Models",
            category="IFAdapter/tests",
            outputs=[io.Model.Output(), io.Clip.Output(), io.Vae.Output()],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(
            small_models.small_model(output_scale=5.0), small_models.small_clip(), small_models.small_vae()
        )


class IFAdapterTestOtherClip(io.ComfyNode):
    """A CLIP of another base model: the first text encoder of SDXL alone."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterTestOtherClip",
            display_name="IFAdapter Test Other CLIP",
            category="IFAdapter/tests",
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        class Target:
            clip = comfy.sd1_clip.SD1ClipModel
            tokenizer = comfy.sd1_clip.SD1Tokenizer
            params: ClassVar[dict[str, Any]] = {}

        width = small_models.TEXT_WIDTHS["clip_l"]
        config = {
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_attention_heads": 2,
            "projection_dim": width,
        }
        return io.NodeOutput(
            comfy.sd.CLIP(Target, parameters=1, model_options={"clip_l_model_config": config})
        )


class IFAdapterTestLanguageModels(io.ComfyNode):
    """Replaces CLIPLoader: two text encoders that write, the first about pictures too."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterTestLanguageModels",
            display_name="IFAdapter Test Language Models",
            category="IFAdapter/tests",
            outputs=[io.Clip.Output(), io.Clip.Output()],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(language_models.qwen3_vl(), language_models.qwen3())


class IFAdapterTestSegmenter(io.ComfyNode):
    """Replaces CheckpointLoaderSimple for SAM 3; same outputs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterTestSegmenter",
            display_name="IFAdapter Test Segmenter",
            category="IFAdapter/tests",
            outputs=[io.Model.Output(), io.Clip.Output()],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*detectors.sam3())


class IFAdapterTestBoxModel(io.ComfyNode):
    """Replaces UNETLoader for RT-DETR."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterTestBoxModel",
            display_name="IFAdapter Test Box Model",
            category="IFAdapter/tests",
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(detectors.rt_detr())


class IFAdapterTestAnswers(io.ComfyNode):
    """Replaces TextGenerate: answers as a language model with trained weights does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterTestAnswers",
            display_name="IFAdapter Test Answers",
            category="IFAdapter/tests",
            inputs=[io.String.Input("prompt"), io.Image.Input("image", optional=True)],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, prompt: str, image: Any = None) -> io.NodeOutput:
        return io.NodeOutput(answers.answer(prompt, image))


class TestExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            IFAdapterTestModels,
            IFAdapterTestOtherClip,
            IFAdapterTestLanguageModels,
            IFAdapterTestSegmenter,
            IFAdapterTestBoxModel,
            IFAdapterTestAnswers,
            *other_packs.NODES,
        ]


async def comfy_entrypoint() -> TestExtension:
    return TestExtension()
