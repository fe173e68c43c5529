"""The demo's models give the same results in the host and in diffusers."""

from __future__ import annotations

import os
import subprocess

import comfy.sample
import comfy.samplers
import comfy.sd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import nodes
import oracle
from demo_case import DEMO, LAYOUT, SUPPORT, TIMESTEPS, TOLERANCE, denoised

SAMPLED_TOLERANCE = 5e-3  # after 20 steps; the noise of the first is 4500 times the latents


@pytest.fixture(scope="module")
def expected(request_tensors, tmp_path_factory) -> dict[str, Tensor]:
    """Output of diffusers_reference.py, run by the Python of the test environment."""
    python = os.environ.get("IFADAPTER_TEST_PYTHON")
    if python is None:
        pytest.skip(
            "no Python with diffusers: IFADAPTER_TEST_PYTHON is not set (tests/run_host_tests.py sets it)"
        )
    # PYTHONPATH contains this process's pytest.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run(
        [python, "-c", "import diffusers"], env=environment, capture_output=True, check=False
    ).returncode:
        pytest.skip(f"{python} has no diffusers")
    folder = tmp_path_factory.mktemp("diffusers")
    request, given = folder / "request.safetensors", folder / "answer.safetensors"
    save_file(request_tensors, request, {"layout": LAYOUT})
    script = SUPPORT / "diffusers_side" / "diffusers_reference.py"
    command = [python, str(script), str(DEMO), str(request), str(given)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return load_file(given)


def test_noise_schedule(demo, expected):
    sigmas = demo.model.get_model_object("model_sampling").sigmas[list(TIMESTEPS)]
    assert oracle.max_difference(1 / (1 + sigmas**2), expected["alphas"]) <= 1e-6


def test_text_states(prompts, expected):
    for conditioning, row in zip(prompts, ("cond", "uncond"), strict=True):
        assert 0.5 < expected[f"text_{row}"].std() < 2
        assert oracle.max_difference(conditioning[0][0], expected[f"text_{row}"]) <= TOLERANCE


def test_instance_tokens(node, demo, layout, expected):
    tokens = node("IFAdapterEncode", ifadapter=demo.ifadapter, clip=demo.clip, layout=layout[0])[0]
    assert tokens.cond.dtype == torch.float32
    assert oracle.max_difference(tokens.cond, expected["tokens_cond"]) <= TOLERANCE
    assert oracle.max_difference(tokens.uncond, expected["tokens_uncond"]) <= TOLERANCE
    assert oracle.max_difference(tokens.cond, tokens.uncond) > 1000 * TOLERANCE


def test_denoised_without_adapter(demo, prompts, request_tensors, expected):
    got = denoised(demo.model, prompts, request_tensors["latents"])
    for row in ("cond", "uncond"):
        assert oracle.max_difference(got[row], expected[f"plain_{row}"]) <= TOLERANCE
    assert oracle.max_difference(expected["plain_cond"], expected["plain_uncond"]) > 100 * TOLERANCE


def test_denoised_with_adapter(adapted, prompts, request_tensors, expected):
    got = denoised(adapted, prompts, request_tensors["latents"])
    for row in ("cond", "uncond"):
        assert oracle.max_difference(got[row], expected[f"adapted_{row}"]) <= TOLERANCE
        assert oracle.max_difference(expected[f"adapted_{row}"], expected[f"plain_{row}"]) > 20 * TOLERANCE


def test_sampled(adapted, prompts, request_tensors, expected):
    """All steps: the host's "euler" is DDIM, its "simple" is diffusers' trailing timesteps."""
    noise = request_tensors["latents"][:1]
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
    assert (
        oracle.max_difference(adapted.model.process_latent_in(got), expected["sampled"]) <= SAMPLED_TOLERANCE
    )


def test_decoded(demo, request_tensors, expected):
    latents = demo.model.model.process_latent_out(request_tensors["latents"][:1])
    picture = nodes.VAEDecode().decode(demo.vae, {"samples": latents})[0]
    assert oracle.max_difference(picture.movedim(-1, 1), expected["decoded"]) <= TOLERANCE


def test_encoded(demo, request_tensors, expected):
    latents = nodes.VAEEncode().encode(demo.vae, request_tensors["picture"].movedim(1, -1))[0]["samples"]
    assert (
        oracle.max_difference(demo.model.model.process_latent_in(latents), expected["encoded"]) <= TOLERANCE
    )
