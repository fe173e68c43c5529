"""Every row of the batch gets the instances of its own layout, with or without their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from ifadapter_core.layout import Layout
from ifadapter_diffusers.pipeline import IFAdapterPipeline
from pipeline_cases import CAT, DOG, HEIGHT, TOLERANCE, WIDTH, Case, Row, draw, equations, prompts, same

EMPTY = Layout(WIDTH, HEIGHT, (), "nothing at all")

# (layouts, images of each, guidance scale, rows of a UNet call)
BATCHES: dict[str, tuple[Sequence[Layout], int, float, Sequence[Row]]] = {
    "one picture": ([CAT], 1, 5.0, [(CAT, False), (CAT, True)]),
    "without guidance": ([CAT], 1, 1.0, [(CAT, True)]),
    "two pictures of a layout": ([CAT], 2, 5.0, [(CAT, False)] * 2 + [(CAT, True)] * 2),
    "two pictures without guidance": ([CAT], 2, 1.0, [(CAT, True)] * 2),
    "two layouts": ([CAT, DOG], 1, 5.0, [(CAT, False), (DOG, False), (CAT, True), (DOG, True)]),
    "two pictures of two layouts": (
        [DOG, CAT],
        2,
        5.0,
        [(each, positive) for positive in (False, True) for each in (DOG, DOG, CAT, CAT)],
    ),
    "the same layout twice, and one without boxes": (
        [CAT, EMPTY, CAT],
        1,
        5.0,
        [(each, positive) for positive in (False, True) for each in (CAT, EMPTY, CAT)],
    ),
}


def differences(case: Case, layouts: Sequence[Layout], rows: Sequence[Row], **options: Any) -> float:
    """Compare with the equations: the largest difference. The adapter must change the picture."""
    size = {"height": layouts[0].height, "width": layouts[0].width}
    plain = draw(case.pipe, None, **prompts(layouts, **options))
    with equations(case, case.pipe, rows):
        expected = draw(case.pipe, None, **prompts(layouts, **options))
    given = layouts if len(layouts) > 1 else layouts[0]
    got = draw(IFAdapterPipeline(case.pipe, case.adapter), given, **size, **options)
    assert got.shape == expected.shape
    scale = expected.abs().max().item()
    assert (expected - plain).abs().max().item() > 50 * TOLERANCE * scale
    return (got - expected).abs().max().item() / scale


@pytest.mark.parametrize("name", BATCHES)
def test_rows_of_the_batch(case: Case, name: str) -> None:
    layouts, copies, guidance, rows = BATCHES[name]
    options = {"num_images_per_prompt": copies, "guidance_scale": guidance}
    assert differences(case, layouts, rows, **options) < TOLERANCE


def test_negative_prompt_for_all_and_for_each(case: Case) -> None:
    layouts, *_, rows = BATCHES["two layouts"]
    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    for given in ("a blue square", ["a star", "a plain circle"]):
        for_each = [given] * 2 if isinstance(given, str) else given
        with equations(case, case.pipe, rows):
            expected = draw(case.pipe, None, **prompts(layouts, negative_prompt=for_each))
        got = draw(ifadapter, layouts, negative_prompt=given)
        assert same(got, expected)


def test_prompt_in_place_of_the_layout_s_own(case: Case) -> None:
    rows = [(CAT, False), (CAT, True)]
    with equations(case, case.pipe, rows):
        expected = draw(case.pipe, None, **prompts([CAT], prompt=["a star"]))
    got = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT, prompt="a star")
    assert same(got, expected)


def test_prompt_embeds_in_place_of_the_prompt(sdxl_case: Case) -> None:
    embeds = sdxl_case.pipe.encode_prompt(CAT.prompt, negative_prompt="a star")
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds")
    given = dict(zip((*names, "negative_pooled_prompt_embeds"), embeds, strict=True))
    ifadapter = IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter)
    got = draw(ifadapter, CAT, **given)
    assert torch.allclose(got, draw(ifadapter, CAT, negative_prompt="a star"), atol=1e-5)


@pytest.mark.parametrize(
    "scheduler",
    [
        DDIMScheduler,
        DPMSolverMultistepScheduler,
        EulerAncestralDiscreteScheduler,
        HeunDiscreteScheduler,
        LCMScheduler,
        UniPCMultistepScheduler,
    ],
)
def test_schedulers(sdxl_case: Case, scheduler: Any) -> None:
    sdxl_case.pipe.scheduler = scheduler.from_config(sdxl_case.pipe.scheduler.config)
    assert differences(sdxl_case, [CAT], [(CAT, False), (CAT, True)]) < TOLERANCE


def test_guidance_that_ends_during_the_run(case: Case) -> None:
    """A callback turns guidance off and drops the unconditional rows, as in diffusers' documentation."""
    names = ["prompt_embeds"]
    if hasattr(case.pipe, "text_encoder_2"):
        names += ["add_text_embeds", "add_time_ids"]

    def end_guidance(pipe: Any, step: int, _t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 0:
            pipe._guidance_scale = 0.0
            return {name: tensors[name].chunk(2)[-1] for name in names}
        return {}

    options = {"callback_on_step_end": end_guidance, "callback_on_step_end_tensor_inputs": names}
    guided = [(CAT, False), (DOG, False), (CAT, True), (DOG, True)]
    with equations(case, case.pipe, guided, guided[2:]):
        expected = draw(case.pipe, None, **prompts([CAT, DOG], **options))
    got = draw(IFAdapterPipeline(case.pipe, case.adapter), [CAT, DOG], **options)
    assert same(got, expected)


def test_a_unet_call_with_other_rows_is_an_error(sdxl_case: Case) -> None:
    unet = sdxl_case.pipe.unet

    def call_unet(_pipe: Any, _step: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        added = {"text_embeds": torch.zeros(3, 32), "time_ids": torch.zeros(3, 6)}
        unet(torch.zeros(3, 4, 16, 24), t, torch.zeros(3, 77, 64), added_cond_kwargs=added)
        return tensors

    ifadapter = IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter)
    with pytest.raises(ValueError, match="called with 3 rows; expected 2: 1 images, with unconditional rows"):
        draw(ifadapter, CAT, callback_on_step_end=call_unet)
    with pytest.raises(ValueError, match="called with 3 rows; expected 1: 1 images, without"):
        draw(ifadapter, CAT, guidance_scale=1.0, callback_on_step_end=call_unet)
