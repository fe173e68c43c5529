"""Image to image, inpainting and ControlNet pipelines, of Stable Diffusion 1.x and SDXL."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from PIL import Image
from torch import Tensor

from ifadapter_diffusers.pipeline import SD_PIPELINES, SDXL_PIPELINES, IFAdapterPipeline
from pipeline_cases import CAT, DOG, HEIGHT, TOLERANCE, WIDTH, Case, draw, equations, make_case, same

ROWS = [(CAT, False), (DOG, False), (CAT, True), (DOG, True)]
pytestmark = pytest.mark.slow

KINDS = ("Img2Img", "Inpaint", "ControlNet", "ControlNetImg2Img", "ControlNetInpaint")


def picture(seed: int) -> Image.Image:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (HEIGHT, WIDTH, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


def pipeline_of(case: Case, kind: str) -> Any:
    is_sdxl = hasattr(case.pipe, "text_encoder_2")
    name = f"StableDiffusion{'XL' if is_sdxl else ''}{kind}Pipeline"
    parts = dict(case.pipe.components)
    if "ControlNet" in kind:
        torch.manual_seed(4)
        controlnet = ControlNetModel.from_unet(parts["unet"], conditioning_embedding_out_channels=(8, 16))
        for parameter in controlnet.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        parts["controlnet"] = controlnet.requires_grad_(False)
    if not is_sdxl:
        parts["requires_safety_checker"] = False
    pipe = getattr(diffusers, name)(**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pictures(kind: str) -> dict[str, Any]:
    """The pictures that a kind of pipeline starts from, for two layouts."""
    given: dict[str, Any] = {"image": [picture(1), picture(2)]}
    if "Img2Img" in kind or "Inpaint" in kind:
        given["strength"] = 0.9
    if "ControlNet" in kind and kind != "ControlNet":
        given["control_image"] = [picture(3), picture(4)]
    if "Inpaint" in kind:
        mask = Image.new("L", (WIDTH, HEIGHT))
        mask.paste(255, (8, 8, 40, 32))
        given["mask_image"] = [mask, mask]
    return given


def compared(case: Case, pipe: Any, given: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Latents of IFAdapterPipeline, of the equations, and without an adapter."""
    has_size = "height" in inspect.signature(type(pipe).__call__).parameters
    size = {"height": HEIGHT, "width": WIDTH} if has_size else {}
    texts = {"prompt": [CAT.prompt, DOG.prompt], "negative_prompt": ["a star"] * 2, **size}
    options = {"num_inference_steps": 3, **given}
    plain = draw(pipe, None, **texts, **options)
    with equations(case, pipe, ROWS):
        expected = draw(pipe, None, **texts, **options)
    ifadapter = IFAdapterPipeline(pipe, case.adapter)
    return draw(ifadapter, [CAT, DOG], negative_prompt="a star", **options), expected, plain


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_pipelines(case: Case, kind: str) -> None:
    got, expected, plain = compared(case, pipeline_of(case, kind), pictures(kind))
    scale = expected.abs().max()
    assert same(got, expected)
    assert (got - plain).abs().max() > 20 * TOLERANCE * scale


def test_inpainting_unet_with_nine_channels(sdxl_case: Case) -> None:
    torch.manual_seed(5)
    config = {**sdxl_case.pipe.unet.config, "in_channels": 9}
    unet = UNet2DConditionModel.from_config(config).requires_grad_(False)
    text_to_image = diffusers.StableDiffusionXLPipeline(**{**sdxl_case.pipe.components, "unet": unet})
    case = Case(text_to_image, sdxl_case.adapter, sdxl_case.file)
    got, expected, _ = compared(case, pipeline_of(case, "Inpaint"), pictures("Inpaint"))
    assert same(got, expected)


def test_guess_mode_of_a_controlnet(case: Case) -> None:
    """The ControlNet then gets the conditional rows only, the UNet all of them."""
    got, expected, _ = compared(
        case, pipeline_of(case, "ControlNet"), {**pictures("ControlNet"), "guess_mode": True}
    )
    assert same(got, expected)


def test_two_adapters_of_one_base_do_not_disturb_each_other(sdxl_case: Case) -> None:
    other = make_case("sdxl", sdxl_case.file.parent)
    for parameter in other.adapter.parameters():
        parameter.data *= 1.1
    first = IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter)
    second = IFAdapterPipeline(sdxl_case.pipe, other.adapter)
    before = draw(first, CAT)
    assert not same(draw(second, CAT), before)
    assert same(draw(first, CAT), before)


def test_every_supported_kind_is_tested() -> None:
    tested = {f"StableDiffusion{xl}{kind}Pipeline" for xl in ("", "XL") for kind in ("", *KINDS)}
    assert {each.__name__ for each in SD_PIPELINES + SDXL_PIPELINES} == tested


@pytest.mark.parametrize("kind", ["Img2Img", "Inpaint"])
def test_a_picture_of_another_size_is_an_error(sdxl_case: Case, kind: str) -> None:
    pipe = pipeline_of(sdxl_case, kind)
    given = {name: value[0] if isinstance(value, list) else value for name, value in pictures(kind).items()}
    if kind == "Img2Img":
        given["image"] = given["image"].resize((40, 32))
        with pytest.raises(ValueError, match=r"16 x 20 latent cells .* layouts have 16 x 24"):
            draw(IFAdapterPipeline(pipe, sdxl_case.adapter), CAT, **given)
    else:
        with pytest.raises(ValueError, match="padding_mask_crop"):
            draw(IFAdapterPipeline(pipe, sdxl_case.adapter), CAT, padding_mask_crop=4, **given)
