"""The part of the noise schedule in which the adapter acts, for several samplers and schedules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from comfy_extras.nodes_model_advanced import ModelSamplingContinuousEDM, ModelSamplingDiscrete
from torch import Tensor

import oracle
from sampling import assert_alike, cfg_guider, ksampler, sample, sample_sigmas


@pytest.fixture(scope="module")
def inputs():
    return oracle.make_inputs(2, 32, 32)


def switched(model: Any, is_on: Callable[[float], bool], seen: set[bool]) -> Any:
    """A clone that keeps its attn2 patches only in calls at a noise level for which is_on is true."""
    clone = model.clone()

    def switch(apply_model: Callable[..., Tensor], call: dict) -> Tensor:
        on = is_on(call["timestep"].max().item())
        seen.add(on)
        options = call["c"]["transformer_options"]
        kept = options if on else {key: value for key, value in options.items() if key != "patches_replace"}
        return apply_model(call["input"], call["timestep"], **{**call["c"], "transformer_options": kept})

    clone.set_model_unet_function_wrapper(switch)
    return clone


@pytest.mark.parametrize("window", [(0.0, 0.4), (0.4, 1.0), (0.3, 0.6)])
def test_acts_inside_the_window_only(apply, tokens, model, window):
    """Equals a run that has the patches only in the steps inside the window."""
    start, end = (model.get_model_object("model_sampling").percent_to_sigma(percent) for percent in window)
    seen: set[bool] = set()
    expected = switched(apply(tokens), lambda sigma: end <= sigma <= start, seen)
    got = ksampler(apply(tokens, start_percent=window[0], end_percent=window[1]), steps=6)
    assert torch.equal(got, ksampler(expected, steps=6))
    assert seen == {True, False}
    assert not torch.equal(got, ksampler(apply(tokens), steps=6))


def test_window_includes_its_ends(apply, tokens, model, inputs):
    start, end = (
        model.get_model_object("model_sampling").percent_to_sigma(percent) for percent in (0.2, 0.5)
    )
    windowed = apply(tokens, start_percent=0.2, end_percent=0.5)
    on, off = oracle.predict(apply(tokens), inputs), oracle.predict(model, inputs)
    for sigma, expected in ((start * 1.01, off), (start, on), (end, on), (end * 0.99, off)):
        assert torch.equal(oracle.predict(windowed, inputs, sigma=sigma), expected)


@pytest.mark.parametrize(
    ("change", "percent", "between"),
    [
        pytest.param(
            lambda m: ModelSamplingContinuousEDM().patch(m, "v_prediction", 120.0, 0.002)[0],
            0.1,
            20.0,
            id="continuous",
        ),
        pytest.param(
            lambda m: ModelSamplingDiscrete().patch(m, "v_prediction", True)[0],
            0.02,
            30.0,
            id="zero terminal SNR",
        ),
    ],
)
def test_percent_follows_a_schedule_set_later(apply, tokens, model, change, percent, between):
    now = model.get_model_object("model_sampling").percent_to_sigma(percent)
    later = change(model).get_model_object("model_sampling").percent_to_sigma(percent)
    assert now < between < later  # inside the window by the old schedule, outside by the new one
    sigmas = (later * 1.5, later * 1.1, between, 2.0, 0.0)
    got = sample_sigmas(cfg_guider(change(apply(tokens, end_percent=percent))), sigmas)
    seen: set[bool] = set()
    expected = switched(change(apply(tokens)), lambda sigma: sigma >= later, seen)
    assert torch.equal(got, sample_sigmas(cfg_guider(expected), sigmas))
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("sampler", "scheduler", "steps", "cfg"),
    [
        ("lcm", "sgm_uniform", 4, 1.0),
        ("euler", "simple", 1, 1.0),
        ("heun", "karras", 3, 5.0),
        ("dpmpp_2s_ancestral", "normal", 3, 5.0),
    ],
)
@pytest.mark.parametrize("window", [(0.0, 1.0), (0.0, 0.35)], ids=["all", "the first part"])
def test_samplers(apply, tokens, term, model, sampler, scheduler, steps, cfg, window):
    """Few steps, and stages between steps: the adapter acts in calls at noise levels in the window."""
    sampling = model.get_model_object("model_sampling")
    start, end = (sampling.percent_to_sigma(percent) for percent in window)
    acting = replace(term, active=lambda options: end <= options["sigmas"].max().item() <= start)

    def run(patcher: Any) -> Tensor:
        torch.manual_seed(0)
        return sample(patcher, sampler=sampler, scheduler=scheduler, steps=steps, cfg=cfg)

    got = run(apply(tokens, start_percent=window[0], end_percent=window[1]))
    assert_alike(got, run(oracle.patch(model, acting)), run(model))


def test_custom_sigmas(apply, tokens, term, model):
    sigmas = torch.tensor([14.0, 9.5, 3.2, 1.1, 0.0])
    assert_alike(
        *(sample(patcher, sigmas=sigmas) for patcher in (apply(tokens), oracle.patch(model, term), model))
    )
