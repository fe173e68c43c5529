"""The adapter on a diffusers pipeline."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from diffusers import (
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.utils import USE_PEFT_BACKEND, scale_lora_layers, unscale_lora_layers

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import build_adapter
from ifadapter_core.layout import Layout
from ifadapter_core.semantic_map import SemanticMap
from ifadapter_core.storage import load_weights

from .hooks.arguments import complete_arguments, layout_list
from .hooks.rows import LayoutRows
from .hooks.run import Run
from .hooks.sites import Site, find_sites
from .sampling import Control, tokens_of_phrases
from .text import PhraseEncoder

SD_PIPELINES = (
    StableDiffusionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
)
SDXL_PIPELINES = (
    StableDiffusionXLPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline,
)


class IFAdapterPipeline:
    """A diffusers pipeline that draws layouts.

    Calls the pipeline with the adapter in its UNet. Between calls the pipeline is as it was: its
    attention processors, LoRAs, IP-Adapters and schedulers can be changed at any time.

    pipe: the pipeline.
    adapter: the adapter, or None after ``remove``.
    """

    def __init__(self, pipe: Any, adapter: str | PathLike[str] | IFAdapter) -> None:
        """Load an adapter and check that it fits.

        pipe: text to image, image to image or inpainting, also with a ControlNet, of Stable Diffusion
            1.x or SDXL.
        adapter: a file in either format, used in float32; or an adapter, used in its own dtype. Its
            weights stay beside the UNet's: the release takes 2 GB of a GPU, or none while the pipeline's
            models are offloaded.

        Raises TypeError for another pipeline, ValueError for an adapter of another base model,
        CheckpointError for a damaged file, OSError if it cannot be opened.
        """
        if not isinstance(pipe, SD_PIPELINES + SDXL_PIPELINES):
            names = ", ".join(each.__name__ for each in SD_PIPELINES + SDXL_PIPELINES)
            raise TypeError(f"The pipeline is a {type(pipe).__name__}; expected one of {names}.")
        if not isinstance(adapter, IFAdapter):
            adapter = build_adapter(load_weights(fspath(adapter))).float().requires_grad_(False)
        self.pipe = pipe
        self.adapter: IFAdapter | None = adapter.eval()
        self._sites(adapter)

    def remove(self) -> None:
        """Let go of the adapter and its memory. The pipeline needs no repair."""
        self.adapter = None

    def __call__(
        self,
        layouts: Layout | Sequence[Layout],
        *,
        adapter_strength: float = 1.0,
        adapter_start: float = 0.0,
        adapter_end: float = 1.0,
        front_hides_back: bool = False,
        **arguments: Any,
    ) -> Any:
        """Draw one picture, or ``num_images_per_prompt`` pictures, of each layout.

        layouts: one layout, or several of the same size.
        adapter_strength: factor for all instances; 1 is as trained, 0 is the plain pipeline.
        adapter_start, adapter_end: active part of the noise schedule, 0 = pure noise, 1 = no noise.
        front_hides_back: in overlaps, only the nearest (last) instance acts. Default: the learned gate.
        arguments: of the pipeline's own call. Default prompt: global caption and all local descriptions
            of each layout. A list has one text for each layout.

        Returns what the pipeline returns: images in the order of the layouts, those of a layout adjacent.

        Logs notices about cut descriptions, boxes below a cell and an adapter that never acts. Raises
        TypeError for unknown arguments, ValueError for sizes, lengths and rows that do not fit,
        RuntimeError after ``remove``.
        """
        if self.adapter is None:
            raise RuntimeError("The adapter was removed. Make a new IFAdapterPipeline.")
        given = layout_list(layouts)
        completed = complete_arguments(self.pipe, given, arguments)
        control = Control(adapter_strength, adapter_start, adapter_end, front_hides_back)
        _check_schedule(control, self.pipe)
        sites = self._sites(self.adapter)
        if not any(layout.instances for layout in given):
            _warn("the layout has no instances, so the pipeline runs without the adapter. Add a box.")
            return self.pipe(**completed)
        if adapter_strength == 0:
            return self.pipe(**completed)

        different = list(dict.fromkeys(given))
        copies = completed["num_images_per_prompt"]
        images = [different.index(layout) for layout in given for _ in range(copies)]
        rows = self._encode(self.adapter, different, images, control, completed)
        run = Run(
            rows,
            control,
            (given[0].height // self.pipe.vae_scale_factor, given[0].width // self.pipe.vae_scale_factor),
            self.pipe.scheduler.config["num_train_timesteps"],
            is_guided=lambda: self.pipe.do_classifier_free_guidance,
        )
        with run.hooked(self.pipe.unet, sites):
            output = self.pipe(**completed)
        for finding in run.findings():
            logging.getLogger(__name__).warning(finding)
        return output

    def _sites(self, adapter: IFAdapter) -> tuple[Site, ...]:
        """The adapted layers of the pipeline's present UNet.

        Raises ValueError if the adapter does not fit, or if the UNet is compiled.
        """
        unet = self.pipe.unet
        compiled = (getattr(module, "_compiled_call_impl", None) for module in unet.modules())
        if hasattr(unet, "_orig_mod") or any(compiled):
            raise ValueError(
                "The pipeline's UNet is compiled, and compiled code would leave the adapter out. Compile "
                "other parts, such as the autoencoder and the text encoders."
            )
        encoders = self._encoder().encoders
        width = sum(encoder.config.hidden_size for encoder in encoders)
        return find_sites(unet, adapter.config, width, type(self.pipe).__name__)

    def _encoder(self) -> PhraseEncoder:
        pipe = self.pipe
        is_sdxl = isinstance(pipe, SDXL_PIPELINES)
        tokenizers, encoders = [pipe.tokenizer], [pipe.text_encoder]
        if is_sdxl:
            tokenizers.append(pipe.tokenizer_2)
            encoders.append(pipe.text_encoder_2)
        if any(part is None for part in tokenizers + encoders):
            raise ValueError(
                f"The {type(pipe).__name__} lacks a text encoder or a tokenizer; the adapter reads the local "
                "descriptions with all of them. Load the pipeline with its text encoders."
            )
        return PhraseEncoder(tokenizers, encoders, is_sdxl, prepare=pipe.maybe_convert_prompt)

    def _encode(
        self,
        adapter: IFAdapter,
        layouts: Sequence[Layout],
        images: Sequence[int],
        control: Control,
        arguments: dict[str, Any],
    ) -> LayoutRows:
        """Tokens, keys and values of different layouts: once for a call, whatever its steps."""
        encoder = self._encoder()
        for layout in layouts:
            for number, text in enumerate(layout.local_descriptions, 1):
                if dropped := encoder.dropped_words(text):
                    _warn(
                        f"the local description of box {number} is longer than 77 tokens; dropped: {dropped}"
                    )
        texts = [text for layout in layouts for text in layout.local_descriptions]
        with _scaled_loras(encoder, (arguments.get("cross_attention_kwargs") or {}).get("scale")):
            phrases = encoder.embed_phrases(texts, adapter.config.settings.text_depths)
        # The text encoders run where the pipeline computes, also if they are offloaded afterwards.
        adapter.to(phrases.phrase_embeds.device)
        dtype = next(adapter.parameters()).dtype
        phrases = replace(
            phrases, phrase_embeds=phrases.phrase_embeds.to(dtype), eot_embeds=phrases.eot_embeds.to(dtype)
        )
        tokens = tokens_of_phrases(adapter, phrases, layouts)
        maps = [SemanticMap(each, front_hides_back=control.front_hides_back) for each in tokens]
        rows = LayoutRows(adapter, maps, images, control.strength)
        # An offloaded UNet is not on its device now; the adapter's weights leave it as well.
        unet_device = self.pipe.unet.device
        adapter.to("cpu" if unet_device.type == "meta" else unet_device)
        return rows


@contextmanager
def _scaled_loras(encoder: PhraseEncoder, scale: float | None) -> Iterator[None]:
    """The strength of LoRAs in the text encoders, as the pipeline sets it for its prompts."""
    encoders = encoder.encoders if scale is not None and USE_PEFT_BACKEND else ()
    for each in encoders:
        scale_lora_layers(each, scale)
    try:
        yield
    finally:
        for each in encoders:
            unscale_lora_layers(each, scale)


def _check_schedule(control: Control, pipe: Any) -> None:
    """Raise ValueError for a range that the scheduler cannot tell."""
    if not control.acts_always and getattr(pipe.scheduler, "alphas_cumprod", None) is None:
        raise ValueError(
            f"{type(pipe.scheduler).__name__} has no timesteps of a noise schedule, so adapter_start and "
            "adapter_end have no meaning. Leave them out, or use another scheduler, such as Euler."
        )


def _warn(message: str) -> None:
    logging.getLogger(__name__).warning("IFAdapter: %s", message)
