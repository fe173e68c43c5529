"""Sampling with the host's samplers and guiders: guidance, batches, several conditionings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.controlnet
import comfy.hooks
import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy_extras import nodes_custom_sampler
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from comfy_extras.nodes_perpneg import Guider_PerpNeg
from comfy_extras.nodes_sag import SelfAttentionGuidance
from torch import Tensor

import oracle
from loaded_pack import pack_module
from sampling import (
    NEGATIVE,
    POSITIVE,
    assert_alike,
    cfg_guider,
    ksampler,
    observed,
    sample,
    sample_sigmas,
    sample_three,
)


@pytest.mark.parametrize("cfg", [1.0, 7.5])
@pytest.mark.parametrize("batch", [1, 2])
def test_sampling_matches_the_oracle(apply, tokens, term, model, cfg, batch):
    def run(patcher: Any) -> Tensor:
        return ksampler(patcher, cfg=cfg, batch=batch)

    assert_alike(run(apply(tokens)), run(oracle.patch(model, term)), run(model))


@pytest.mark.parametrize("is_fused", [False, True])
def test_sampling_with_host_attention_for_instances(apply, tokens, term, model, monkeypatch, is_fused):
    """On other devices than a CPU, the instances use the host's attention, or torch's where that is its."""
    patched = apply(tokens)
    patch = pack_module("nodes.host.attention_patch")
    chosen, choose = [], patch._instance_attention
    if is_fused:
        monkeypatch.setattr(patch, "attention_pytorch", patch.optimized_attention)

    def choose_as_on_a_gpu(_device: Any, options: dict) -> Any:
        chosen.append(choose(torch.device("cuda"), options))
        return chosen[-1]

    monkeypatch.setattr(patch, "_instance_attention", choose_as_on_a_gpu)
    assert_alike(ksampler(patched), ksampler(oracle.patch(model, term)), ksampler(model))
    assert {attention is patch._fused_attention for attention in chosen} == {is_fused}
    assert choose(torch.device("cuda"), {"optimized_attention_override": None}) is not patch._fused_attention


def test_separate_calls_equal_a_joint_call(apply, tokens, model, monkeypatch):
    calls: list[list[int]] = []
    patched = observed(apply(tokens), lambda options: calls.append(options["cond_or_uncond"]))
    joint = ksampler(patched, batch=2)
    assert all(sorted(call) == [0, 1] for call in calls)
    calls.clear()
    with monkeypatch.context() as short:
        short.setattr(comfy.model_patcher.ModelPatcher, "get_free_memory", lambda self, device: 0)
        split = ksampler(patched, batch=2)
    assert sorted(calls) == [[0]] * 3 + [[1]] * 3
    assert_alike(split, joint, ksampler(model, batch=2))


@pytest.mark.parametrize(
    ("guider", "positive"),
    [
        pytest.param(Guider_PerpNeg, 0, id="PerpNeg: positive, negative, empty"),
        pytest.param(nodes_custom_sampler.Guider_DualCFG, 2, id="DualCFG: negative, middle, positive"),
    ],
)
def test_positive_rows_of_three_conditionings(apply, tokens, term, model, guider, positive):
    """Only the positive conditioning gets the descriptions, at any position in the guider's list."""
    expected = oracle.patch(
        model, replace(term, positive=lambda chunks: [chunk == positive for chunk in chunks])
    )
    got, want, plain = (sample_three(guider(patcher)) for patcher in (apply(tokens), expected, model))
    assert_alike(got, want, plain)


def test_pass_with_the_negative_alone(apply, tokens, term, model):
    """Self-attention guidance adds a UNet call with the negative alone, which the host numbers 0."""

    def run(patcher: Any) -> Tensor:
        guided = SelfAttentionGuidance.execute(patcher, 0.8, 2.0)
        return ksampler(guided.result[0])

    expected = oracle.patch(
        model, replace(term, positive=lambda chunks: [len(chunks) > 1 and chunk == 0 for chunk in chunks])
    )
    assert_alike(run(apply(tokens)), run(expected), run(model))


def test_guider_with_a_second_model_for_the_negative(apply, tokens, model):
    """With the same model twice, this guider is ordinary CFG, according to the host."""
    if not hasattr(nodes_custom_sampler, "Guider_DualModel"):
        pytest.skip("this host has no such guider")
    patched, sigmas = apply(tokens), (14.0, 4.0, 1.0, 0.0)
    guider = nodes_custom_sampler.Guider_DualModel(patched, patched)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(5.0)
    assert_alike(
        sample_sigmas(guider, sigmas),
        sample_sigmas(cfg_guider(patched), sigmas),
        sample_sigmas(cfg_guider(model), sigmas),
    )


def test_prompts_of_unequal_length(apply, tokens, term, model):
    """The host makes a separate UNet call for each of them."""
    long = [[POSITIVE[0][0].repeat(1, 7, 1), POSITIVE[0][1]]]
    calls: list[int] = []

    def run(patcher: Any) -> Tensor:
        watched = patcher.clone()

        def wrap(apply_model: Callable[..., Tensor], call: dict) -> Tensor:
            calls.append(len(call["cond_or_uncond"]))
            return apply_model(call["input"], call["timestep"], **call["c"])

        watched.set_model_unet_function_wrapper(wrap)
        return sample(watched, positive=long)

    assert_alike(run(apply(tokens)), run(oracle.patch(model, term)), run(model))
    assert set(calls) == {1}


def test_batch_of_three(apply, tokens, term, model):
    def run(patcher: Any) -> Tensor:
        return sample(patcher, batch=3)

    assert_alike(run(apply(tokens)), run(oracle.patch(model, term)), run(model))


def test_perturbed_attention_guidance(apply, tokens, term, model):
    """Adds a UNet call with the positive conditioning alone."""

    def run(patcher: Any) -> Tensor:
        return sample(PerturbedAttentionGuidance.execute(patcher, 3.0)[0])

    assert_alike(run(apply(tokens)), run(oracle.patch(model, term)), run(model))
