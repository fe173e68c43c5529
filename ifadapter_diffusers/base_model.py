"""A frozen base model: the parts of a diffusers pipeline that training and sampling need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, DiffusionPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ifadapter_core.tokens import PhraseEmbeddings

from .latents import decode, encode, load_vae
from .text import PhraseEncoder, token_ids

VAE, TEXT_ENCODERS = "vae", "text_encoders"  # parts that can be set aside
LIBRARY_HINT = " Please check out the root cause in the stacktrace above."
SECOND_TEXT_ENCODER = "conditioner.embedders.1."  # key prefix, in checkpoint files of SDXL only


@dataclass(frozen=True)
class SizeConditioning:
    """SDXL's size conditioning of a picture, in pixels, as in its training.

    original: (height, width) of the picture before it was scaled.
    crop: (top, left) of the crop in the scaled picture.
    target: (height, width) of the crop.
    """

    original: tuple[int, int]
    crop: tuple[int, int]
    target: tuple[int, int]

    @classmethod
    def uncropped(cls, size: tuple[int, int]) -> SizeConditioning:
        """A picture of (height, width) pixels that was neither scaled nor cropped."""
        return cls(size, (0, 0), size)

    @property
    def time_ids(self) -> tuple[int, ...]:
        """diffusers' order of the six numbers."""
        return (*self.original, *self.crop, *self.target)


@dataclass(frozen=True, eq=False)
class CaptionStates:
    """What the text encoders give for B captions.

    states: (B, T, D) hidden states for the cross attention.
    pooled: (B, P) SDXL's pooled text; None for Stable Diffusion 1.x.
    """

    states: Tensor
    pooled: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The text conditions of B rows of the UNet's batch.

    text_states: (B, T, D) hidden states for the cross attention.
    added: SDXL's pooled text and sizes, by diffusers' names; empty for Stable Diffusion 1.x.
    """

    text_states: Tensor
    added: dict[str, Tensor] = field(default_factory=dict)

    def join(self, other: Conditioning) -> Conditioning:
        """The rows of this, then the rows of the other."""
        return Conditioning(
            torch.cat([self.text_states, other.text_states]),
            {key: torch.cat([value, other.added[key]]) for key, value in self.added.items()},
        )

    def repeat(self, copies: int) -> Conditioning:
        """Each row repeated, with its copies adjacent."""
        return Conditioning(
            self.text_states.repeat_interleave(copies, dim=0),
            {key: value.repeat_interleave(copies, dim=0) for key, value in self.added.items()},
        )


def _load_pipeline(path: str, dtype: torch.dtype) -> Any:
    """See ``BaseModel.from_pretrained``."""
    if not Path(path).is_file():
        dtypes = {"vae": torch.float32, "default": dtype}
        return DiffusionPipeline.from_pretrained(path, dtype=dtypes)
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
    is_sdxl = any(name.startswith(SECOND_TEXT_ENCODER) for name in names)
    kind = StableDiffusionXLPipeline if is_sdxl else StableDiffusionPipeline
    return kind.from_single_file(path, dtype=torch.float32)


class BaseModel(nn.Module):
    """Stable Diffusion 1.x, SDXL, or a model of the same architecture. All weights are frozen.

    Raises ValueError for other pipelines, and for models that predict neither noise nor velocity.
    """

    def __init__(self, pipeline: DiffusionPipeline) -> None:
        super().__init__()
        if not isinstance(pipeline, (StableDiffusionPipeline, StableDiffusionXLPipeline)):
            raise ValueError(
                f"The base model is a {type(pipeline).__name__}; expected Stable Diffusion 1.x or SDXL."
            )
        self.vae, self.unet = pipeline.vae, pipeline.unet
        # The noise schedule of training. The pipeline's own sampler may scale noise differently.
        self.scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
        prediction = self.scheduler.config["prediction_type"]
        if prediction not in ("epsilon", "v_prediction"):
            raise ValueError(f"The base model predicts {prediction}; expected epsilon or v_prediction.")
        self.is_sdxl = isinstance(pipeline, StableDiffusionXLPipeline)
        self.tokenizers = [pipeline.tokenizer]
        encoders = [pipeline.text_encoder]
        if self.is_sdxl:
            self.tokenizers.append(pipeline.tokenizer_2)
            encoders.append(pipeline.text_encoder_2)
        self.text_encoders = nn.ModuleList(encoders)
        self._aside: dict[str, nn.Module] = {}
        # Channels of the text features, encoders concatenated.
        self.text_width: int = sum(encoder.config.hidden_size for encoder in encoders)
        self.requires_grad_(False).eval()

    @classmethod
    def from_pretrained(
        cls, path: str, dtype: torch.dtype = torch.float32, vae: str | None = None
    ) -> BaseModel:
        """Load a folder in diffusers' format, a Hugging Face hub name, or one .safetensors file.

        dtype: of the UNet and the text encoders. The model's own autoencoder stays float32: SDXL's
            overflows in float16.
        vae: another autoencoder in place of the model's own, in ``dtype``: a folder in diffusers' format
            or a hub name.

        Raises ValueError if either cannot be loaded, or ``vae`` has other latents.
        """
        try:
            pipeline = _load_pipeline(path, dtype)
        except (OSError, ValueError, SafetensorError) as error:
            reason = str(error).splitlines()[0].removesuffix(LIBRARY_HINT).removesuffix(".")
            raise ValueError(
                f"The base model {path} cannot be loaded ({reason}). Give a folder in diffusers' format, a "
                "name on the Hugging Face hub, or one .safetensors file."
            ) from error
        if vae is not None:
            pipeline.vae = load_vae(vae, pipeline.vae, dtype)
        base = cls(pipeline)
        base.unet.to(dtype)
        base.text_encoders.to(dtype)
        base.vae.enable_slicing()
        return base

    @property
    def device(self) -> torch.device:
        return self.unet.device

    def train(self, mode: bool = True) -> BaseModel:
        """No-op: a frozen model stays in evaluation mode, without dropout."""
        return super().train(False)

    def set_aside(self, *parts: str) -> None:
        """Keep parts on the CPU that are seldom used; they are no submodules any more.

        What needs them moves them to the base model's device, and back: see ``present``.
        parts: VAE, TEXT_ENCODERS.
        """
        for name in parts:
            part = getattr(self, name).to("cpu")
            delattr(self, name)
            self.__dict__[name] = self._aside[name] = part

    @property
    def texts_aside(self) -> bool:
        return TEXT_ENCODERS in self._aside

    @contextmanager
    def present(self, *parts: str) -> Iterator[None]:
        """Context in which parts that are set aside are on the base model's device. May be nested."""
        aside = [self._aside[name] for name in parts if name in self._aside]
        moved = [part for part in aside if next(part.parameters()).device != self.device]
        for part in moved:
            part.to(self.device)
        try:
            yield
        finally:
            for part in moved:
                part.to("cpu")

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in -1..1 -> scaled latents (B, C, h, w), float32."""
        with self.present(VAE):
            return encode(self.vae, images)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents (B, C, h, w) -> pictures (B, 3, H, W), about -1..1, float32."""
        with self.present(VAE):
            return decode(self.vae, latents)

    @torch.no_grad()
    def condition(
        self,
        captions: Sequence[str],
        size: tuple[int, int],
        sizes: Sequence[SizeConditioning] | None = None,
    ) -> Conditioning:
        """Encode captions for the UNet, as diffusers' pipelines do.

        size: (height, width) of the pictures, in pixels.
        sizes: see ``conditioning``.
        """
        return self.conditioning(self.encode_captions(captions), size, sizes)

    @torch.no_grad()
    def encode_captions(self, captions: Sequence[str]) -> CaptionStates:
        """What the text encoders give for captions, padded and truncated to 77 tokens."""
        tokens = self._tokenize(captions)
        with self.present(TEXT_ENCODERS):
            if not self.is_sdxl:
                return CaptionStates(self.text_encoders[0](tokens[0]).last_hidden_state)
            outputs = [
                encoder(ids, output_hidden_states=True)
                for encoder, ids in zip(self.text_encoders, tokens, strict=True)
            ]
        states = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        return CaptionStates(states, outputs[1].text_embeds)

    def conditioning(
        self,
        captions: CaptionStates,
        size: tuple[int, int],
        sizes: Sequence[SizeConditioning] | None = None,
    ) -> Conditioning:
        """Encoded captions with SDXL's size conditioning of the pictures.

        size: (height, width) of the pictures, in pixels.
        sizes: one for each caption; default: uncropped pictures of that size. Stable Diffusion 1.x
            ignores them.
        """
        if captions.pooled is None:
            return Conditioning(captions.states)
        rows = sizes or [SizeConditioning.uncropped(size)] * len(captions.states)
        time_ids = torch.tensor([row.time_ids for row in rows], device=self.device, dtype=torch.float32)
        return Conditioning(captions.states, {"text_embeds": captions.pooled, "time_ids": time_ids})

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Latents (B, C, h, w) at timesteps (B,) -> the UNet's prediction (B, C, h, w)."""
        added = conditioning.added or None
        return self.unet(
            latents.to(self.unet.dtype), timesteps, conditioning.text_states, added_cond_kwargs=added
        ).sample

    def embed_phrases(self, local_descriptions: Sequence[str], depths: Sequence[int]) -> PhraseEmbeddings:
        """See ``PhraseEncoder.embed_phrases``."""
        encoders: Any = self.text_encoders
        encoder = PhraseEncoder(self.tokenizers, encoders, self.is_sdxl)
        with self.present(TEXT_ENCODERS):
            return encoder.embed_phrases(local_descriptions, depths)

    def _tokenize(self, texts: Sequence[str]) -> list[Tensor]:
        """Token ids (len(texts), 77) for each text encoder."""
        return [token_ids(tokenizer, texts).to(self.device) for tokenizer in self.tokenizers]
