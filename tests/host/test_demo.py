"""The models that come with the pack: in the host they do what diffusers does with them, and its nodes work on them."""

from __future__ import annotations

import inspect
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import comfy.sample
import comfy.samplers
import comfy.sd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import dense
import nodes

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent.parent / "demo"
TOLERANCE = 1e-4  # on values of order 1
SAMPLED = 5e-3  # after 20 steps, the first from noise 4500 times as large as the latents
SIDE_PX = 128
TIMESTEPS = (999, 949, 749, 499, 249, 49, 0)
SCHEDULE = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
LAYOUT = json.dumps(
    {
        "caption": "a circle, a star and a square on a beige background",
        "boxes": [
            {"x": 0.05, "y": 0.1, "w": 0.45, "h": 0.4, "caption": "a red circle with white dots"},
            {"x": 0.4, "y": 0.3, "w": 0.5, "h": 0.5, "caption": "a yellow star with a black border"},
            {"x": 0.1, "y": 0.55, "w": 0.4, "h": 0.4, "caption": "a plain green square", "strength": 0.7},
        ],
    }
)
CONFIGS = ("unet/config.json", "vae/config.json", "text_encoder/config.json", "tokenizer/tokenizer.json")
WEIGHTS = (
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "ifadapter.safetensors",
)


class Demo(NamedTuple):
    """The node's outputs."""

    model: Any
    clip: Any
    vae: Any
    ifadapter: Any


@pytest.fixture(scope="module")
def demo(node) -> Demo:
    return Demo(*node("IFAdapterDemoModels"))


@pytest.fixture(scope="module")
def layout(node) -> tuple:
    """The layout node's outputs."""
    return node("IFAdapterLayout", layout=LAYOUT, width=SIDE_PX, height=SIDE_PX)


@pytest.fixture(scope="module")
def adapted(node, demo, layout) -> Any:
    """The MODEL with the adapter."""
    tokens = node("IFAdapterEncode", ifadapter=demo.ifadapter, clip=demo.clip, layout=layout[0])[0]
    semantic_map = node("IFAdapterSemanticMap", tokens=tokens)[0]
    return node(
        "IFAdapterApply", model=demo.model, ifadapter=demo.ifadapter, semantic_map=semantic_map, **SCHEDULE
    )[0]


@pytest.fixture(scope="module")
def prompts(demo, layout) -> tuple[list, list]:
    """The conditionings, positive and negative."""
    return encode_text(demo, layout[2]), encode_text(demo, "")


def encode_text(demo: Demo, text: str) -> list:
    return nodes.CLIPTextEncode().encode(demo.clip, text)[0]


# Against diffusers


@pytest.fixture(scope="module")
def asked() -> dict[str, Tensor]:
    """What diffusers_reference.py is given."""
    generator = torch.Generator().manual_seed(8)
    return {
        "latents": torch.randn(len(TIMESTEPS), 3, SIDE_PX // 8, SIDE_PX // 8, generator=generator),
        "timesteps": torch.tensor(TIMESTEPS),
        "picture": torch.rand(1, 3, SIDE_PX, SIDE_PX, generator=generator),
    }


@pytest.fixture(scope="module")
def expected(asked, tmp_path_factory) -> dict[str, Tensor]:
    """What diffusers_reference.py answers, run by the Python of the tests' own environment."""
    python = os.environ.get("IFADAPTER_TEST_PYTHON")
    if python is None:
        pytest.skip(
            "no Python with diffusers: IFADAPTER_TEST_PYTHON is not set (tests/run_host_tests.py sets it)"
        )
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }  # that is pytest's
    if subprocess.run(
        [python, "-c", "import diffusers"], env=environment, capture_output=True, check=False
    ).returncode:
        pytest.skip(f"{python} has no diffusers")
    folder = tmp_path_factory.mktemp("diffusers")
    request, given = folder / "request.safetensors", folder / "answer.safetensors"
    save_file(asked, request, {"layout": LAYOUT})
    command = [python, str(HERE / "diffusers_reference.py"), str(DEMO), str(request), str(given)]
    ran = subprocess.run(
        command, env={**environment, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return load_file(given)


def denoised(model: Any, prompts: tuple[list, list], latents: Tensor) -> dict[str, Tensor]:
    """What the host's guider gets from the model at TIMESTEPS, for the negative and the positive prompt."""
    sigmas = model.get_model_object("model_sampling").sigmas[list(TIMESTEPS)]
    seen: dict[str, list[Tensor]] = {"uncond": [], "cond": []}

    def see(args: dict[str, Any]) -> Tensor:
        for row, values in seen.items():
            values.append(args[f"{row}_denoised"])
        return args["denoised"]

    def visit(
        predict: Callable[..., Tensor], x: Tensor, sigmas: Tensor, extra_args: dict[str, Any], **_: Any
    ) -> Tensor:
        for latent, sigma in zip(latents, sigmas, strict=True):
            predict(latent[None] * (1 + sigma**2) ** 0.5, sigma[None], **extra_args)
        return x

    watched = model.clone()
    watched.set_model_sampler_post_cfg_function(see)
    guider = comfy.samplers.CFGGuider(watched)
    guider.set_conds(*prompts)
    guider.set_cfg(2.0)
    start = torch.zeros_like(latents[:1])
    guider.sample(start, start, comfy.samplers.KSAMPLER(visit), sigmas, disable_pbar=True, seed=1)
    return {row: torch.cat(values) for row, values in seen.items()}


def test_noise_schedule(demo, expected):
    sigmas = demo.model.get_model_object("model_sampling").sigmas[list(TIMESTEPS)]
    assert dense.difference(1 / (1 + sigmas**2), expected["alphas"]) <= 1e-6


def test_text_states(prompts, expected):
    for conditioning, row in zip(prompts, ("cond", "uncond"), strict=True):
        assert 0.5 < expected[f"text_{row}"].std() < 2
        assert dense.difference(conditioning[0][0], expected[f"text_{row}"]) <= TOLERANCE


def test_instance_tokens(node, demo, layout, expected):
    tokens = node("IFAdapterEncode", ifadapter=demo.ifadapter, clip=demo.clip, layout=layout[0])[0]
    assert tokens.cond.dtype == torch.float32
    assert dense.difference(tokens.cond, expected["tokens_cond"]) <= TOLERANCE
    assert dense.difference(tokens.uncond, expected["tokens_uncond"]) <= TOLERANCE
    assert dense.difference(tokens.cond, tokens.uncond) > 1000 * TOLERANCE


def test_denoised_without_adapter(demo, prompts, asked, expected):
    got = denoised(demo.model, prompts, asked["latents"])
    for row in ("cond", "uncond"):
        assert dense.difference(got[row], expected[f"plain_{row}"]) <= TOLERANCE
    assert dense.difference(expected["plain_cond"], expected["plain_uncond"]) > 100 * TOLERANCE


def test_denoised_with_adapter(adapted, prompts, asked, expected):
    got = denoised(adapted, prompts, asked["latents"])
    for row in ("cond", "uncond"):
        assert dense.difference(got[row], expected[f"adapted_{row}"]) <= TOLERANCE
        assert dense.difference(expected[f"adapted_{row}"], expected[f"plain_{row}"]) > 20 * TOLERANCE


def test_sampled(adapted, prompts, asked, expected):
    """All steps: what the host calls Euler is DDIM, and its scheduler "simple" what diffusers calls trailing timesteps."""
    noise = asked["latents"][:1]
    got = comfy.sample.sample(
        adapted,
        noise,
        20,
        2.0,
        "euler",
        "simple",
        *prompts,
        torch.zeros_like(noise),
        disable_pbar=True,
        seed=1,
    )
    assert dense.difference(adapted.model.process_latent_in(got), expected["sampled"]) <= SAMPLED


def test_decoded(demo, asked, expected):
    latents = demo.model.model.process_latent_out(asked["latents"][:1])
    picture = nodes.VAEDecode().decode(demo.vae, {"samples": latents})[0]
    assert dense.difference(picture.movedim(-1, 1), expected["decoded"]) <= TOLERANCE


def test_encoded(demo, asked, expected):
    latents = nodes.VAEEncode().encode(demo.vae, asked["picture"].movedim(1, -1))[0]["samples"]
    assert dense.difference(demo.model.model.process_latent_in(latents), expected["encoded"]) <= TOLERANCE


# In the host


def sample(
    model: Any, prompts: tuple[list, list], latent: dict[str, Any], denoise: float = 1.0, steps: int = 4
) -> dict[str, Any]:
    return nodes.KSampler().sample(model, 3, steps, 2.0, "euler", "simple", *prompts, latent, denoise)[0]


def assert_is_a_picture(picture: Tensor) -> None:
    assert picture.shape == (1, SIDE_PX, SIDE_PX, 3)
    assert picture.isfinite().all()
    assert 0 <= picture.min() < picture.max() <= 1


def test_picture_from_an_empty_latent(demo, adapted, prompts):
    """The host's own has 4 channels."""
    pictures = []
    for model in (demo.model, adapted):
        latent = sample(model, prompts, nodes.EmptyLatentImage().generate(SIDE_PX, SIDE_PX)[0])
        assert latent["samples"].shape == (1, 3, SIDE_PX // 8, SIDE_PX // 8)
        pictures.append(nodes.VAEDecode().decode(demo.vae, latent)[0])
        assert_is_a_picture(pictures[-1])
    assert dense.difference(*pictures) > 0.01


def test_picture_from_a_picture(demo, adapted, prompts, asked):
    given = asked["picture"].movedim(1, -1)
    latent = sample(adapted, prompts, nodes.VAEEncode().encode(demo.vae, given)[0], denoise=0.5)
    assert_is_a_picture(nodes.VAEDecode().decode(demo.vae, latent)[0])


def test_tiled_decoding_and_encoding(demo, asked):
    """The host counts latent channels there."""
    picture = asked["picture"].movedim(1, -1)
    with torch.inference_mode():  # as the host runs its nodes
        latent = nodes.VAEEncodeTiled().encode(demo.vae, picture, 64, 16)[0]
        assert latent["samples"].shape == (1, 3, SIDE_PX // 8, SIDE_PX // 8)
        assert_is_a_picture(nodes.VAEDecodeTiled().decode(demo.vae, latent, 64, 16)[0])


def test_computes_in_float32_on_the_cpu(demo):
    assert demo.model.model.get_dtype_inference() == torch.float32
    assert demo.vae.vae_dtype == torch.float32


def test_description_that_is_too_long(node, demo, caplog):
    """The end of a text is that of the demo's own vocabulary."""
    words = " ".join(["red", "blue", "green"] * 25)
    layout = json.dumps({"boxes": [{"x": 0, "y": 0, "w": 1, "h": 1, "caption": f"{words} yellow star"}]})
    layout = node("IFAdapterLayout", layout=layout, width=SIDE_PX, height=SIDE_PX)[0]
    with caplog.at_level(logging.WARNING):
        node("IFAdapterEncode", ifadapter=demo.ifadapter, clip=demo.clip, layout=layout)
    assert [
        record.getMessage().rpartition(": ")[2]
        for record in caplog.records
        if "IFAdapter" in record.getMessage()
    ] == ["yellow star"]


def test_ownership_preview_has_cells_of_8_pixels(node, demo):
    box = {"x": 0, "y": 0, "w": 9 / SIDE_PX, "h": 1, "caption": "a red star"}  # covers 2 of 16 columns
    layout = node("IFAdapterLayout", layout=json.dumps({"boxes": [box]}), width=SIDE_PX, height=SIDE_PX)[0]
    tokens = node("IFAdapterEncode", ifadapter=demo.ifadapter, clip=demo.clip, layout=layout)[0]
    assert tokens.cell_px == 8
    row = node("IFAdapterSemanticMap", tokens=tokens)[1][0, 100]
    inside, outside = row[10:16], row[16:]  # pixels 0..9 also have the outline of the box
    assert torch.equal(inside, inside[:1].expand_as(inside))
    assert torch.equal(outside, outside[:1].expand_as(outside))
    assert not torch.equal(inside[0], outside[0])


def test_wrong_model_error_names_the_demo(node, demo, model, make_tokens):
    semantic_map = node("IFAdapterSemanticMap", tokens=make_tokens([(0.0, 0.0, 1.0, 1.0)]))[0]
    with pytest.raises(ValueError, match="The adapter was made for the demo's small model"):
        node("IFAdapterApply", model=model, ifadapter=demo.ifadapter, semantic_map=semantic_map, **SCHEDULE)


def test_loras(demo, prompts, asked):
    """Named as diffusers names the layers, or as the host does."""
    generator = torch.Generator().manual_seed(4)
    layers = {
        "lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_q": 96,
        "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_v": 128,
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj": 96,
    }
    lora = {}
    for layer, width in layers.items():
        lora[f"{layer}.lora_up.weight"] = torch.randn(width, 4, generator=generator)
        lora[f"{layer}.lora_down.weight"] = torch.randn(4, width, generator=generator)
    before = denoised(demo.model, prompts, asked["latents"])["cond"]
    model, clip = comfy.sd.load_lora_for_models(demo.model, demo.clip, lora, 1.0, 1.0)
    assert (len(model.patches), len(clip.patcher.patches)) == (2, 1)
    assert dense.difference(denoised(model, prompts, asked["latents"])["cond"], before) > 0.01
    assert (
        dense.difference(
            encode_text(Demo(model, clip, None, None), "a red star")[0][0],
            encode_text(demo, "a red star")[0][0],
        )
        > 0.01
    )
    assert torch.equal(denoised(demo.model, prompts, asked["latents"])["cond"], before)


def test_the_host_can_load_them_anew(demo):
    """As it does for a copy that shares no weights."""
    if "force_deepcopy" not in inspect.signature(demo.model.clone).parameters:
        pytest.skip("this host makes no such copies")
    for patcher in (demo.model, demo.clip.patcher, demo.vae.patcher):
        copied, given = patcher.clone(force_deepcopy=True).model.state_dict(), patcher.model.state_dict()
        assert list(copied) == list(given)
        assert all(torch.equal(copied[name], tensor) for name, tensor in given.items())
        assert all(
            copied[name].data_ptr() != tensor.data_ptr() for name, tensor in given.items() if tensor.numel()
        )


# Damage


@pytest.fixture
def damaged(tmp_path, monkeypatch) -> Path:
    """A copy of the demo's folder in its place."""
    folder = tmp_path / "demo"
    shutil.copytree(DEMO, folder)
    loading = nodes.NODE_CLASS_MAPPINGS["IFAdapterDemoModels"].__module__.replace(
        ".demo_models", ".host.demo"
    )
    monkeypatch.setattr(sys.modules[loading], "FOLDER", folder)
    return folder


def assert_names(node: Callable[..., tuple], path: Path, *parts: str) -> None:
    with pytest.raises(RuntimeError, match="The demo's models cannot be loaded") as caught:
        node("IFAdapterDemoModels")
    for part in (str(path), "Reinstall ComfyUI-IFAdapter", *parts):
        assert part in str(caught.value)


def test_no_folder(node, damaged):
    shutil.rmtree(damaged)
    assert_names(node, damaged / "ifadapter.safetensors", "missing")


@pytest.mark.parametrize("name", [*CONFIGS, *WEIGHTS])
def test_missing_file(node, damaged, name):
    (damaged / name).unlink()
    assert_names(node, damaged / name, "missing")


@pytest.mark.parametrize("name", [*CONFIGS, *WEIGHTS])
def test_file_that_is_cut_short(node, damaged, name):
    content = (damaged / name).read_bytes()
    (damaged / name).write_bytes(content[: len(content) // 2])
    assert_names(node, damaged / name)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_that_says_nothing(node, damaged, name):
    (damaged / name).write_text("{}")
    assert_names(node, damaged / name)


def test_vocabulary_of_another_text_encoder(node, damaged):
    path = damaged / "tokenizer" / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["vocab"]["another"] = len(data["model"]["vocab"])
    path.write_text(json.dumps(data))
    assert_names(node, path)


@pytest.mark.parametrize("kind", ["missing", "unexpected", "of the wrong shape"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_another_model(node, damaged, name, kind):
    tensors = load_file(damaged / name)
    with safe_open(damaged / name, framework="pt") as file:
        metadata = file.metadata()
    changed = next(key for key in tensors if key.endswith(".bias"))
    if kind == "missing":
        del tensors[changed]
    elif kind == "unexpected":
        tensors["another.weight"] = torch.zeros(3)
    else:
        tensors[changed] = torch.zeros(3, 5)
    save_file(tensors, damaged / name, metadata)
    assert_names(node, damaged / name, f"1 {kind}: ")
