"""The arguments of a call and of the constructor: what they do, and what is refused."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline, EDMEulerScheduler, StableDiffusionXLPAGPipeline, UNet2DModel

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import build_adapter
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.storage import load_weights
from ifadapter_diffusers.pipeline import IFAdapterPipeline
from pipeline_cases import CAT, DOG, HEIGHT, WIDTH, Case, draw, equations, make_case, prompts, same

ROWS = [(CAT, False), (CAT, True)]
LOGGER = "ifadapter_diffusers.pipeline"


def test_an_adapter_from_a_file(case: Case) -> None:
    expected = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT)
    for file in (case.file, str(case.file)):
        assert same(draw(IFAdapterPipeline(case.pipe, file), CAT), expected)


def test_an_adapter_in_half_precision(case: Case) -> None:
    """Saved in float16 and used in float32, or kept in bfloat16 by the user."""
    expected = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT)
    half = build_adapter(load_weights(case.file)).to(torch.bfloat16)
    got = draw(IFAdapterPipeline(case.pipe, half), CAT)
    assert next(half.parameters()).dtype == torch.bfloat16
    assert 0 < (got - expected).abs().max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_pipeline_in_half_precision(case: Case, dtype: torch.dtype) -> None:
    expected = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT)
    plain = draw(case.pipe, None, **prompts([CAT]))
    case.pipe.to(dtype)
    got = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT).float()
    half_plain = draw(case.pipe, None, **prompts([CAT])).float()
    error = (got - expected).abs().mean()
    assert error < 0.3 * (expected - plain).abs().mean() + 2 * (half_plain - plain).abs().mean()


def test_strength(case: Case) -> None:
    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    plain = draw(case.pipe, None, **prompts([CAT]))
    assert same(draw(ifadapter, CAT, adapter_strength=0.0), plain)
    with equations(case, case.pipe, ROWS, strength=0.6):
        expected = draw(case.pipe, None, **prompts([CAT]))
    got = draw(ifadapter, CAT, adapter_strength=0.6)
    assert same(got, expected)


@pytest.mark.parametrize(
    ("start", "end", "active"),
    [
        (0.0, 0.3, [True, True, False, False, False]),
        (0.3, 1.0, [False, False, True, True, True]),
        (0.2, 0.6, [False, True, True, True, False]),
    ],
)
def test_part_of_the_schedule(sdxl_case: Case, start: float, end: float, active: list[bool]) -> None:
    """The percents of ComfyUI: timestep (1 - percent) * 999."""
    options = {"timesteps": [999, 749, 649, 449, 249], "num_inference_steps": None}
    with equations(sdxl_case, sdxl_case.pipe, ROWS, active=active):
        expected = draw(sdxl_case.pipe, None, **prompts([CAT], **options))
    ifadapter = IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter)
    got = draw(ifadapter, CAT, adapter_start=start, adapter_end=end, **options)
    assert same(got, expected)
    assert not same(draw(ifadapter, CAT, **options), got)


def test_front_hides_back(case: Case) -> None:
    """The near instance covers the far one wholly, so only the near one acts."""
    near = Instance(Box(0.25, 0.25, 0.75, 0.75), "a blue square")
    far = Instance(Box(0.25, 0.25, 0.75, 0.75), "a red circle")
    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    options = {"prompt": "a square", "adapter_strength": 1.0}
    both = Layout(WIDTH, HEIGHT, (far, near))
    hidden = draw(ifadapter, both, front_hides_back=True, **options)
    mixed = draw(ifadapter, both, **options)
    other = Layout(WIDTH, HEIGHT, (replace(far, local_description="a green star"), near))
    assert same(draw(ifadapter, other, front_hides_back=True, **options), hidden)
    assert not same(draw(ifadapter, other, **options), mixed)


def test_the_size_comes_from_the_layout(case: Case) -> None:
    layout = Layout(40, 56, CAT.instances, CAT.caption)
    assert draw(IFAdapterPipeline(case.pipe, case.adapter), layout).shape == (1, 4, 28, 20)


def test_pictures(case: Case) -> None:
    output = IFAdapterPipeline(case.pipe, case.adapter)(CAT, num_inference_steps=1, num_images_per_prompt=2)
    assert [image.size for image in output.images] == [(WIDTH, HEIGHT)] * 2


def test_each_layout_is_encoded_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of steps, of its pictures, and of its places in the batch."""
    counts: dict[str, list[int]] = {"tokens": [], "keys": []}
    encode, project = IFAdapter.encode_instances, IFAdapter.keys_values

    def count_tokens(self: IFAdapter, *args: Any) -> Any:
        counts["tokens"].append(len(args[0]))
        return encode(self, *args)

    def count_keys(self: IFAdapter, key: str, tokens: torch.Tensor) -> Any:
        counts["keys"].append(len(tokens))
        return project(self, key, tokens)

    monkeypatch.setattr(IFAdapter, "encode_instances", count_tokens)
    monkeypatch.setattr(IFAdapter, "keys_values", count_keys)
    layouts = [CAT, DOG, replace(CAT)]
    draw(IFAdapterPipeline(case.pipe, case.adapter), layouts, num_images_per_prompt=2, num_inference_steps=3)
    instances = len(CAT.instances) + len(DOG.instances)
    assert counts["tokens"] == [instances]
    assert counts["keys"] == [2 * instances] * len(case.adapter.config.layers)  # with and without words


def test_an_empty_layout_is_the_plain_pipeline(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    empty = Layout(WIDTH, HEIGHT, (), "a circle")
    plain = draw(case.pipe, None, **prompts([empty]))
    assert same(draw(IFAdapterPipeline(case.pipe, case.adapter), empty), plain)
    assert "has no instances" in caplog.text


def test_remove(case: Case) -> None:
    plain = draw(case.pipe, None, **prompts([CAT]))
    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    draw(ifadapter, CAT)
    ifadapter.remove()
    assert ifadapter.adapter is None
    assert same(draw(case.pipe, None, **prompts([CAT])), plain)
    with pytest.raises(RuntimeError, match="was removed"):
        draw(ifadapter, CAT)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


def test_no_notice_without_a_cause(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        draw(IFAdapterPipeline(case.pipe, case.adapter), [CAT, DOG])
    assert messages(caplog) == []


def test_notice_of_dropped_words(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    text = "a circle " + "and a star " * 40 + "striped"
    layout = Layout(WIDTH, HEIGHT, (Instance(Box(0, 0, 1, 1), text),))
    draw(IFAdapterPipeline(case.pipe, case.adapter), layout, prompt="a circle")
    (message,) = messages(caplog)
    assert "longer than 77 tokens; dropped:" in message
    assert message.endswith("striped")


def test_notice_of_small_boxes(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    small = Instance(Box(0.4, 0.4, 0.45, 0.9), "a star")
    layout = replace(CAT, instances=(*CAT.instances, small))
    draw(IFAdapterPipeline(case.pipe, case.adapter), layout)
    (message,) = messages(caplog)
    assert "12 x 8 cells, and box 3 of a layout is smaller than one cell" in message


def test_notice_of_an_adapter_that_never_acts(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    plain = draw(case.pipe, None, **prompts([CAT]))
    got = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT, adapter_start=0.2, adapter_end=0.2)
    assert same(got, plain)
    (message,) = messages(caplog)
    assert "acted in none of the" in message
    assert "adapter_start 0.2 and adapter_end 0.2" in message


@pytest.mark.parametrize(
    ("layouts", "options", "error", "message"),
    [
        ("layout.json", {}, TypeError, "got a str; expected a Layout .*Layout.from_json"),
        ([CAT, "dog"], {}, TypeError, "got a str"),
        ([], {}, ValueError, "list of layouts is empty"),
        ([CAT, replace(DOG, width=64)], {}, ValueError, "different sizes"),
        (CAT, {"height": 64}, ValueError, "height is 64, but the layouts are 32 pixels"),
        (CAT, {"width": 32}, ValueError, "width is 32, but the layouts are 48 pixels"),
        (CAT, {"strength": 0.5}, TypeError, "no argument strength.* own arguments are adapter_strength"),
        (CAT, {"end": 0.3}, TypeError, "no argument end.* own arguments are adapter_end"),
        (CAT, {"num_steps": 3}, TypeError, "no argument num_steps"),
        (CAT, {"prompt": ["a", "b"]}, ValueError, "prompt has 2 texts for 1 layouts"),
        ([CAT, DOG], {"negative_prompt": ["a"]}, ValueError, "negative_prompt has 1 texts for 2 layouts"),
        (CAT, {"prompt": 3}, TypeError, "prompt is 3; expected a text"),
        ([CAT, DOG], {"prompt_embeds": torch.zeros(1, 77, 32)}, ValueError, "prompt_embeds has 1 rows for 2"),
        (CAT, {"num_images_per_prompt": 0}, ValueError, "num_images_per_prompt is 0"),
        (CAT, {"adapter_strength": float("nan")}, ValueError, "strength of the adapter is nan"),
        (
            CAT,
            {"adapter_start": 0.5, "adapter_end": 0.2},
            ValueError,
            r"starts at 0.5 and ends at 0.2; expected 0 to 1",
        ),
        (CAT, {"adapter_end": 1.5}, ValueError, "ends at 1.5; expected 0 to 1"),
    ],
)
def test_refused_arguments(
    sdxl_case: Case, layouts: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Before anything is computed."""
    ifadapter = IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter)
    calls: list[Any] = []
    for part in (sdxl_case.pipe.text_encoder, sdxl_case.pipe.unet):
        part.register_forward_pre_hook(lambda *_: calls.append(0))
    with pytest.raises(error, match=message):
        ifadapter(layouts, **options)
    assert not calls


def test_a_range_on_a_scheduler_without_timesteps(sdxl_case: Case) -> None:
    sdxl_case.pipe.scheduler = EDMEulerScheduler()
    ifadapter = IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter)
    with pytest.raises(ValueError, match="EDMEulerScheduler has no timesteps of a noise schedule"):
        draw(ifadapter, CAT, adapter_end=0.3)
    assert draw(ifadapter, CAT).isfinite().all()


def test_an_adapter_of_another_base(tmp_path: Path) -> None:
    sd, sdxl = make_case("sd", tmp_path), make_case("sdxl", tmp_path)
    for pipe, adapter in ((sd.pipe, sdxl.file), (sdxl.pipe, sd.file)):
        with pytest.raises(ValueError, match=r"does not fit this pipeline.*text features .* wide") as caught:
            IFAdapterPipeline(pipe, adapter)
        assert type(pipe).__name__ in str(caught.value)


def test_a_unet_exchanged_for_another(sdxl_case: Case, tmp_path: Path) -> None:
    ifadapter = IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter)
    ifadapter.pipe.unet = make_case("sd", tmp_path).pipe.unet
    with pytest.raises(ValueError, match="no matching layer at"):
        draw(ifadapter, CAT)


def test_missing_text_encoder(sdxl_case: Case) -> None:
    sdxl_case.pipe.text_encoder = None
    with pytest.raises(ValueError, match="lacks a text encoder"):
        IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter)


def test_other_pipelines(sdxl_case: Case) -> None:
    unet = UNet2DModel(
        block_out_channels=(32, 32),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        norm_num_groups=8,
    )
    other = DDPMPipeline(unet, sdxl_case.pipe.scheduler)
    with pytest.raises(TypeError, match="is a DDPMPipeline; expected one of StableDiffusionPipeline, "):
        IFAdapterPipeline(other, sdxl_case.adapter)
    perturbed = StableDiffusionXLPAGPipeline(**sdxl_case.pipe.components)
    with pytest.raises(TypeError, match="is a StableDiffusionXLPAGPipeline"):
        IFAdapterPipeline(perturbed, sdxl_case.adapter)
