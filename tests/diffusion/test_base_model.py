"""The frozen base model matches diffusers' own pipelines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file

from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.sampling import add_noise, guided
from tiny_models import SCHEDULE, TEXTS, sd, sdxl

LONG = ", ".join(TEXTS * 4)  # more than 77 tokens
PIPELINES = {"sd": sd, "sdxl": sdxl}


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return PIPELINES[request.param](tmp_path_factory.getbasetemp() / "tokenizer")


def test_captions_are_encoded_as_in_the_pipeline(pipeline: Any) -> None:
    prompts = ["a red circle", "", LONG]
    got = BaseModel(pipeline).condition(prompts, (40, 24))
    expected = pipeline.encode_prompt(
        prompts, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    assert torch.equal(got.text_states, expected[0])
    if isinstance(pipeline, StableDiffusionXLPipeline):
        assert torch.equal(got.added["text_embeds"], expected[2])
        sizes = pipeline._get_add_time_ids(
            (40, 24), (0, 0), (40, 24), dtype=torch.float32, text_encoder_projection_dim=32
        )
        assert torch.equal(got.added["time_ids"], sizes.expand(3, -1))
    else:
        assert not got.added


def test_conditionings_join_and_repeat(pipeline: Any) -> None:
    base = BaseModel(pipeline)
    first, second = base.condition(["a", "b"], (8, 8)), base.condition(["c"], (8, 8))
    joined, repeated = first.join(second), first.repeat(2)
    assert torch.equal(joined.text_states, torch.cat([first.text_states, second.text_states]))
    assert torch.equal(repeated.text_states, first.text_states[[0, 0, 1, 1]])
    for key, value in first.added.items():
        assert torch.equal(joined.added[key], torch.cat([value, second.added[key]]))
        assert torch.equal(repeated.added[key], value[[0, 0, 1, 1]])


@pytest.mark.parametrize("depth", [-100, -7])
def test_depth_beyond_the_layers_of_an_encoder(pipeline: Any, depth: int) -> None:
    base = BaseModel(pipeline)
    assert min(encoder.config.num_hidden_layers for encoder in base.text_encoders) == 6
    with pytest.raises(ValueError, match=rf"reads layer {depth} .* has 6 layers"):
        base.embed_phrases(TEXTS, (-2, depth))


@pytest.mark.parametrize(
    "texts", [["a blue square"], [*TEXTS, "", "square"], [LONG, "a star"]], ids=["one", "some", "long"]
)
def test_truncated_phrases_match_the_full_77_tokens(pipeline: Any, texts: list[str]) -> None:
    base, depths = BaseModel(pipeline), (-2, -4, -6)
    got = base.embed_phrases(texts, depths)
    parts = []
    for tokenizer, encoder in zip(base.tokenizers, base.text_encoders, strict=True):
        ids = tokenizer(
            texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        ).input_ids
        states = encoder(ids, output_hidden_states=True).hidden_states
        norm = (
            torch.nn.Identity() if base.is_sdxl else getattr(encoder, "text_model", encoder).final_layer_norm
        )
        parts.append(torch.stack([norm(states[depth]) for depth in depths], dim=1))
    whole = torch.cat(parts, dim=-1)
    words = base.tokenizers[0](texts, truncation=True, max_length=77).input_ids
    lengths = [len(row) for row in words]
    longest = max(lengths)
    assert got.phrase_embeds.shape == (len(texts), 3, longest, base.text_width)
    assert torch.allclose(got.phrase_embeds, whole[:, :, :longest], atol=1e-5)
    assert got.attention_mask.tolist() == [[1] * length + [0] * (longest - length) for length in lengths]
    for number, length in enumerate(lengths):
        assert torch.equal(got.eot_embeds[number], got.phrase_embeds[number, 0, length - 1])


def test_all_weights_are_frozen(pipeline: Any) -> None:
    base = BaseModel(pipeline)
    assert not [name for name, parameter in base.named_parameters() if parameter.requires_grad]
    modules = base.train().modules()
    assert not [module for module in modules if module.training]
    parts = [base.unet, base.vae, *base.text_encoders]
    # All parts are submodules.
    assert sum(p.numel() for part in parts for p in part.parameters()) == sum(
        p.numel() for p in base.parameters()
    )


def test_noise_has_unit_scale_for_every_pipelines_sampler(pipeline: Any) -> None:
    base = BaseModel(pipeline)
    latents = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    noisy, timesteps, target = add_noise(base.scheduler, latents, torch.Generator().manual_seed(2))
    betas = torch.linspace(SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5, 1000) ** 2
    alpha_bar = (1 - betas).cumprod(dim=0)[timesteps][:, None, None, None]
    assert torch.allclose(noisy, alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * target, atol=1e-5)
    assert torch.equal(target, torch.randn(latents.shape, generator=torch.Generator().manual_seed(2)))


def test_the_target_is_the_base_models_prediction_type(tmp_path: Path) -> None:
    pipeline = sd(tmp_path)
    pipeline.scheduler = DDPMScheduler(**SCHEDULE, prediction_type="v_prediction")
    scheduler = BaseModel(pipeline).scheduler
    latents = torch.randn(6, 4, 8, 8)
    noisy, timesteps, target = add_noise(scheduler, latents, torch.Generator().manual_seed(2))
    alpha_bar = scheduler.alphas_cumprod[timesteps][:, None, None, None]
    assert torch.allclose(alpha_bar.sqrt() * noisy - (1 - alpha_bar).sqrt() * target, latents, atol=1e-5)
    pipeline.scheduler = DDPMScheduler(**SCHEDULE, prediction_type="sample")
    with pytest.raises(ValueError, match="predicts sample; expected epsilon"):
        BaseModel(pipeline)


def test_sampling_with_a_perfect_denoiser_gives_the_picture(tmp_path: Path) -> None:
    """Any unit noise becomes the picture that the denoiser knows."""
    scheduler, picture = BaseModel(sd(tmp_path)).scheduler, torch.randn(2, 4, 8, 8)

    def denoise(latents: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        assert latents.shape[0] == timesteps.shape[0] == 4
        alpha_bar = scheduler.alphas_cumprod[timesteps][:, None, None, None]
        return (latents - alpha_bar.sqrt() * picture.repeat(2, 1, 1, 1)) / (1 - alpha_bar).sqrt()

    assert torch.allclose(guided(denoise, scheduler, torch.randn(2, 4, 8, 8), 10, 3.0), picture, atol=1e-3)


def test_pictures_encode_to_scaled_latents_and_decode(pipeline: Any) -> None:
    base = BaseModel(pipeline)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    latents = base.encode(images)
    assert torch.allclose(latents, base.vae.encode(images).latent_dist.mean * base.vae.config.scaling_factor)
    assert base.decode(latents).shape == images.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_folder_loads_in_the_dtype_except_the_autoencoder(
    pipeline: Any, dtype: torch.dtype, tmp_path: Path
) -> None:
    pipeline.save_pretrained(tmp_path)
    base = BaseModel.from_pretrained(str(tmp_path), dtype)
    assert base.is_sdxl == isinstance(pipeline, StableDiffusionXLPipeline)
    assert {
        parameter.dtype for part in (base.unet, base.text_encoders) for parameter in part.parameters()
    } == {dtype}
    assert {parameter.dtype for parameter in base.vae.parameters()} == {torch.float32}
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        latents = base.encode(images)
    assert torch.allclose(latents, BaseModel(pipeline).encode(images), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_another_autoencoder_runs_in_the_dtype(pipeline: Any, dtype: torch.dtype, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "base")
    other = AutoencoderKL(**pipeline.vae.config)
    other.save_pretrained(tmp_path / "vae")
    base = BaseModel.from_pretrained(str(tmp_path / "base"), dtype, str(tmp_path / "vae"))
    assert {parameter.dtype for parameter in base.vae.parameters()} == {dtype}
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    latents = base.encode(images)
    assert latents.dtype == torch.float32
    expected = other.encode(images).latent_dist.mean * other.config.scaling_factor
    assert torch.allclose(latents, expected, atol=1e-5 if dtype == torch.float32 else 0.1)
    assert base.decode(latents).shape == images.shape


def test_an_autoencoder_that_does_not_fit_is_an_error(pipeline: Any, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "base")
    for key, value in (("scaling_factor", 0.5), ("latent_channels", 8), ("block_out_channels", (8, 8, 8))):
        config = {**pipeline.vae.config, key: value}
        if key == "block_out_channels":
            config |= {name: config[name][:1] * 3 for name in ("down_block_types", "up_block_types")}
        AutoencoderKL(**config).save_pretrained(tmp_path / key)
        with pytest.raises(ValueError, match=rf"vae: .*{key} has"):
            BaseModel.from_pretrained(str(tmp_path / "base"), vae=str(tmp_path / key))
    with pytest.raises(ValueError, match=r"vae: .*base cannot be loaded .*AutoencoderKL"):
        BaseModel.from_pretrained(str(tmp_path / "base"), vae=str(tmp_path / "base"))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("conditioner.embedders.1.model.ln_final.weight", StableDiffusionXLPipeline),
        ("cond_stage_model.transformer.x", StableDiffusionPipeline),
    ],
)
def test_a_checkpoint_file_is_recognized_by_its_keys(
    key: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({key: torch.zeros(1)}, tmp_path / "model.safetensors")
    loaded = []
    for each in (StableDiffusionPipeline, StableDiffusionXLPipeline):
        monkeypatch.setattr(
            each, "from_single_file", classmethod(lambda cls, path, **_: loaded.append(cls) or sd(tmp_path))
        )
    BaseModel.from_pretrained(str(tmp_path / "model.safetensors"))
    assert loaded == [kind]


def test_other_pipelines_are_rejected() -> None:
    with pytest.raises(ValueError, match="is a object; expected Stable Diffusion"):
        BaseModel(object())


@pytest.mark.parametrize("name", ["empty", "text.md"])
def test_what_is_no_model_is_an_error_that_names_it_and_the_choices(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.md").write_text("no weights")
    path = re.escape(str(tmp_path / name))
    with pytest.raises(ValueError, match=rf"^The base model {path} cannot be loaded \(.*\)\. Give a folder"):
        BaseModel.from_pretrained(str(tmp_path / name))
