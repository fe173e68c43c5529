"""Latents of IFAdapterPipeline: ``pipeline_reference.py REQUEST ANSWER``.

Run by patching/test_against_pipeline.py with a Python that has diffusers. Independent of the nodes.

REQUEST: safetensors with the noise and the weights of the small SDXL, in diffusers' names. Its metadata has
JSON under "request": see ``answer``. ANSWER: safetensors with the latents of each call, and without adapter.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ifadapter_core.layout_formats import from_json
from ifadapter_diffusers.pipeline import IFAdapterPipeline
from small_shapes import HEAD_DIM, TEXT_WIDTH, TEXT_WIDTHS

LAYERS = {"clip_l": 12, "clip_g": 32}
END = 49407


def answer(request: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Latents of each call.

    request: ``tokenizer`` folder, ``demo`` folder, ``adapters`` file by kind of pipeline ("sdxl", "sd"),
    ``calls``: name, kind, layouts as JSON, width and height in pixels, options of the call, timesteps.
    """
    pipes = {"sdxl": small_sdxl(tensors, request["tokenizer"]), "sd": demo(request["demo"])}
    results = {}
    for call in request["calls"]:
        pipe = pipes[call["kind"]]
        pipe.set_progress_bar_config(disable=True)
        layouts = [from_json(text, call["width"], call["height"]) for text in call["layouts"]]
        ifadapter = IFAdapterPipeline(pipe, request["adapters"][call["kind"]])
        shared = {
            "latents": tensors[f"noise.{call['name']}"],
            "timesteps": call["timesteps"],
            "output_type": "latent",
        }
        results[call["name"]] = ifadapter(layouts, **shared, **call["options"]).images
        own = {name: value for name, value in call["options"].items() if not name.startswith("adapter_")}
        results[f"plain {call['name']}"] = ifadapter(layouts, adapter_strength=0.0, **shared, **own).images
    return results


def small_sdxl(tensors: dict[str, Tensor], tokenizer: str) -> StableDiffusionXLPipeline:
    """The small models of small_models.py."""
    unet = UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(32, 32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(1, 1, 64 // HEAD_DIM),  # diffusers' name for the number of heads
        cross_attention_dim=TEXT_WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=TEXT_WIDTHS["clip_g"] + 6 * 256,
        use_linear_projection=True,
    )
    load(unet, tensors, "unet.")
    words, second = (CLIPTokenizer.from_pretrained(tokenizer, model_max_length=77) for _ in range(2))
    second.pad_token = "!"
    kinds = {"clip_l": CLIPTextModel, "clip_g": CLIPTextModelWithProjection}
    encoders = []
    for (name, kind), activation in zip(kinds.items(), ("quick_gelu", "gelu"), strict=True):
        width = TEXT_WIDTHS[name]
        config = CLIPTextConfig(
            vocab_size=END + 1,
            hidden_size=width,
            intermediate_size=2 * width,
            projection_dim=width,
            num_attention_heads=2,
            num_hidden_layers=LAYERS[name],
            hidden_act=activation,
            bos_token_id=END - 1,
            eos_token_id=END,
        )
        encoders.append(load(kind(config), tensors, f"{name}."))
    vae = AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
    )  # of SDXL's factor 8; decodes nothing here
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=encoders[0],
        text_encoder_2=encoders[1],
        tokenizer=words,
        tokenizer_2=second,
        unet=unet.eval(),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading"
        ),
    )


def demo(folder: str) -> StableDiffusionPipeline:
    """The demo's models, with a scheduler that takes any timesteps."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    return pipe


def load(model: Any, tensors: dict[str, Tensor], prefix: str) -> Any:
    """Load all weights of a model; its names may or may not begin with "text_model."."""
    given = {
        name.removeprefix(prefix).removeprefix("text_model."): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    wanted = model.state_dict()
    model.load_state_dict({name: given.pop(name.removeprefix("text_model.")) for name in wanted})
    assert set(given) <= {"text_projection.weight"}, sorted(given)
    return model.eval()


if __name__ == "__main__":
    asked, given = map(Path, sys.argv[1:])
    with safe_open(asked, framework="pt") as file:
        request = json.loads(file.metadata()["request"])
    save_file(
        {name: value.float().contiguous() for name, value in answer(request, load_file(asked)).items()}, given
    )
