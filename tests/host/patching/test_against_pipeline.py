"""The nodes and IFAdapterPipeline give the same latents for the same noise, layouts and weights."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import nodes
import oracle
import small_models
from demo_case import DEMO, SUPPORT

TOLERANCE = 1e-4  # of the largest latent
TIMESTEPS = (999, 749, 499, 249)
CAT = {
    "caption": "a cat and a teapot",
    "boxes": [
        {"x": 0.05, "y": 0.3, "w": 0.45, "h": 0.6, "caption": "a ginger cat with white paws"},
        {"x": 0.4, "y": 0.2, "w": 0.5, "h": 0.5, "caption": "a glazed green teapot", "strength": 0.7},
    ],
}
STAR = {
    "caption": "a star",
    "boxes": [{"x": 0.3, "y": 0.1, "w": 0.6, "h": 0.7, "caption": "a yellow star with a black border"}],
}
PROMPT, NEGATIVE = "a painting of two things", "blurry, grey"


def call(name: str, kind: str, layouts: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """One sampling run. The size does not divide by the strides of the UNet, and is not square."""
    return {
        "name": name,
        "kind": kind,
        "layouts": [json.dumps(layout) for layout in layouts],
        "width": 160,
        "height": 216,
        # The last alpha of the demo's schedule is 0.
        "timesteps": TIMESTEPS if kind == "sdxl" else (949, 749, 499, 249),
        "options": {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 5.0, **options},
    }


CALLS = [
    call("sdxl", "sdxl", [CAT]),
    call(
        "sdxl, part of the schedule",
        "sdxl",
        [CAT],
        adapter_strength=0.6,
        adapter_start=0.2,
        adapter_end=0.6,
    ),
    call("sdxl, two layouts", "sdxl", [CAT, STAR]),
    call("sdxl, without guidance", "sdxl", [CAT], guidance_scale=1.0),
    call("sd", "sd", [STAR]),
]


@pytest.fixture(scope="module")
def noises() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        each["name"]: torch.randn(
            len(each["layouts"]),
            4 if each["kind"] == "sdxl" else 3,
            each["height"] // 8,
            each["width"] // 8,
            generator=generator,
        )
        for each in CALLS
    }


@pytest.fixture(scope="module")
def expected(noises, model, clip, ifadapter, base, host, tmp_path_factory) -> dict[str, Tensor]:
    """Output of pipeline_reference.py, run by the Python of the test environment."""
    python = os.environ.get("IFADAPTER_TEST_PYTHON")
    if python is None:
        pytest.skip("no Python with diffusers: IFADAPTER_TEST_PYTHON is not set (run_host_tests.py sets it)")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-c", "import diffusers"]
    if subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
        pytest.skip(f"{python} has no diffusers")
    tensors = {f"noise.{name}": noise for name, noise in noises.items()}
    weights = model.model.diffusion_model.state_dict()
    names = comfy.utils.unet_to_diffusers(small_models.UNET)
    tensors |= {
        f"unet.{theirs}": weights[ours]
        for theirs, ours in names.items()
        if ours in weights and not theirs.startswith("class_embedding.")  # the same as add_embedding
    }
    for name in small_models.TEXT_WIDTHS:
        own = getattr(clip.cond_stage_model, name).transformer.state_dict()
        tensors |= {f"{name}.{key}": value for key, value in own.items()}
    request = {
        "tokenizer": str(host / "comfy" / "sd1_tokenizer"),
        "demo": str(DEMO),
        "adapters": {
            "sdxl": str(base / "models" / "ifadapter" / "small.bin"),
            "sd": str(DEMO / "ifadapter.safetensors"),
        },
        "calls": CALLS,
    }
    folder = tmp_path_factory.mktemp("pipeline")
    asked, given = folder / "request.safetensors", folder / "answer.safetensors"
    contiguous = {name: value.clone().contiguous() for name, value in tensors.items()}
    save_file(contiguous, asked, {"request": json.dumps(request)})
    command = [python, str(SUPPORT / "diffusers_side" / "pipeline_reference.py"), str(asked), str(given)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return load_file(given)


def sampled(node: Any, models: tuple[Any, Any, Any], each: dict[str, Any], noise: Tensor) -> Tensor:
    """Latents by the nodes, scaled as the UNet sees them."""
    model, clip, ifadapter = models
    options = each["options"]
    maps = []
    for text in each["layouts"]:
        layout = node("IFAdapterLayout", layout=text, width=each["width"], height=each["height"])[0]
        tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
        maps.append(node("IFAdapterSemanticMap", tokens=tokens)[0])
    batch = node("IFAdapterBatchMaps", semantic_maps=maps, more_maps=None)[0]
    patched = node(
        "IFAdapterApply",
        model=model,
        ifadapter=ifadapter,
        semantic_map=batch,
        strength=options.get("adapter_strength", 1.0),
        start_percent=options.get("adapter_start", 0.0),
        end_percent=options.get("adapter_end", 1.0),
    )[0]
    sampling = patched.get_model_object("model_sampling")
    sigmas = torch.cat([sampling.sigmas[list(each["timesteps"])], torch.zeros(1)])
    if each["timesteps"][0] != 999:  # diffusers scales any first noise as the host scales the strongest
        noise = noise * (1 + sigmas[0] ** 2).sqrt() / sigmas[0]
    positive, negative = (nodes.CLIPTextEncode().encode(clip, text)[0] for text in (PROMPT, NEGATIVE))
    latents = comfy.sample.sample_custom(
        patched,
        noise,
        options["guidance_scale"],
        comfy.samplers.sampler_object("euler"),
        sigmas,
        positive,
        negative,
        torch.zeros_like(noise),
        disable_pbar=True,
        seed=1,
    )
    return patched.model.process_latent_in(latents)


@pytest.mark.parametrize("each", CALLS, ids=[each["name"] for each in CALLS])
def test_same_latents(node, model, clip, ifadapter, noises, expected, each):
    if each["kind"] == "sd":
        model, clip, _, ifadapter = node("IFAdapterDemoModels")
    name = each["name"]
    got = sampled(node, (model, clip, ifadapter), each, noises[name])
    scale = expected[name].abs().max()
    assert oracle.max_difference(expected[name], expected[f"plain {name}"]) > 20 * TOLERANCE * scale
    assert oracle.max_difference(got, expected[name]) <= TOLERANCE * scale
