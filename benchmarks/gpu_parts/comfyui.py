"""ComfyUI in this process, with full-size SDXL of random weights and the pack's host files.

Imports the pack's nodes/host below a package of its own, without its nodes: so ComfyUI's comfy/ and
folder_paths.py are enough, without its server and its own nodes.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from layers import boxes_of
from torch import Tensor

from .models import Sizes, fill

ROOT = Path(__file__).resolve().parents[2]
PACK = "ifadapter_pack"
TOKENS = 13  # per instance
GUIDANCE = 7.0


def is_there() -> bool:
    """Whether COMFYUI_PATH names a ComfyUI."""
    return (Path(os.environ.get("COMFYUI_PATH", "nowhere")) / "comfy" / "samplers.py").exists()


def start(device: torch.device) -> None:
    """Import ComfyUI for this device, and make the pack importable as ``PACK``."""
    host = str(Path(os.environ["COMFYUI_PATH"]).resolve())
    if host not in sys.path:
        sys.path.insert(0, host)
    cli_args = importlib.import_module("comfy.cli_args")
    cli_args.args.cpu = device.type == "cpu"
    for name, folder in (("", ROOT), (".nodes", ROOT / "nodes")):
        package = types.ModuleType(PACK + name)
        package.__path__ = [str(folder)]
        sys.modules.setdefault(PACK + name, package)
    for name in ("sample", "samplers", "sd", "sdxl_clip", "supported_models", "model_patcher", "utils"):
        importlib.import_module(f"comfy.{name}")
    sys.modules["comfy.utils"].set_progress_bar_enabled(False)


def pack(module: str) -> Any:
    """A module of the pack, by its path below the pack's root."""
    return importlib.import_module(f"{PACK}.{module}")


def load_unet(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> Any:
    """SDXL's UNet with random weights made on the device, as a ComfyUI MODEL."""
    import comfy.model_patcher
    import comfy.supported_models

    kind = comfy.supported_models.SDXL
    sdxl = kind({**kind.unet_config, **sizes.unet, "dtype": dtype})
    sdxl.unet_config["num_head_channels"] = sizes.unet["num_head_channels"]  # the class overrides it
    sdxl.set_inference_dtype(dtype, None)
    model = sdxl.get_model({}, "", device=device)
    fill(model.diffusion_model)
    return comfy.model_patcher.ModelPatcher(model, load_device=device, offload_device=device)


def load_clip(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> Any:
    """SDXL's two text encoders with random weights made on the device, as a ComfyUI CLIP."""
    import comfy.sd
    import comfy.sdxl_clip

    widths = {name: config["hidden_size"] for name, config in sizes.encoders.items()}

    class Tokenizer(comfy.sdxl_clip.SDXLTokenizer):
        def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
            super().__init__(embedding_directory, tokenizer_data or {})
            for part, width in widths.items():
                getattr(self, part.removesuffix("_model_config")).embedding_size = width

    class Target:
        clip = comfy.sdxl_clip.SDXLClipModel
        tokenizer = Tokenizer
        params: ClassVar[dict[str, Any]] = {}

    options = {"load_device": device, "offload_device": device, "initial_device": device, "dtype": dtype}
    clip = comfy.sd.CLIP(Target, parameters=1, model_options={**options, **sizes.encoders})
    fill(clip.cond_stage_model)
    return clip


def adapted(model: Any, ifadapter: Any, sizes: Sizes, count: int) -> Any:
    """The MODEL with the adapter and ``count`` medium boxes, with random tokens."""
    boxes, width = boxes_of("medium", count), sizes.adapter.resampler.token_width
    generator = torch.Generator().manual_seed(count)
    cond, uncond = torch.randn(2, count, TOKENS, width, generator=generator)
    tokens = pack("ifadapter_core.tokens").InstanceTokens(cond, uncond, boxes, (1.0,) * count)
    semantic_map = pack("ifadapter_core.semantic_map").SemanticMap(tokens)
    return pack("nodes.host.patcher").apply_adapter(model, ifadapter, (semantic_map,), 1.0, 0.0, 1.0)


def prompts(sizes: Sizes, device: torch.device) -> tuple[list[Any], list[Any]]:
    """A positive and a negative CONDITIONING with random text on the device: a CUDA graph copies none."""

    def conditioning() -> list[Any]:
        text, pooled = (
            torch.randn(shape).to(device) for shape in ((1, 77, sizes.text_width), (1, sizes.pooled_width))
        )
        extras = {"pooled_output": pooled, "width": sizes.picture_px, "height": sizes.picture_px}
        return [[text, extras]]

    return conditioning(), conditioning()


def regional(positive: list[Any], sizes: Sizes, count: int, by_mask: bool) -> list[Any]:
    """The prompt plus one prompt for each box, as ConditioningSetMask or ConditioningSetAreaPercentage."""
    side, result = sizes.picture_px, list(positive)
    for x0, y0, x1, y1 in boxes_of("medium", count).tolist():
        (text, extras), mask = positive[0], torch.zeros(1, side, side)
        mask[:, round(y0 * side) : round(y1 * side), round(x0 * side) : round(x1 * side)] = 1
        area = ("percentage", y1 - y0, x1 - x0, y0, x0)
        region = {"mask": mask, "mask_strength": 1.0} if by_mask else {"area": area, "strength": 1.0}
        result.append([text.clone(), {**extras, **region, "set_area_to_bounds": False}])
    return result


# model(noisy latent, noise level, **extra arguments) -> prediction; called inside a sampler
Probe = Callable[[Callable[[], Tensor]], Any]


def inside_sampler(model: Any, positive: Any, negative: Any, sizes: Sizes, probe: Probe) -> Any:
    """Run ComfyUI's sampler up to the model, and call ``probe`` with the UNet call of one step.

    The call does everything that a step does in the host: batching of the conditionings, the
    wrappers, the UNet and guidance. Returns the result of ``probe``.
    """
    import comfy.sample
    import comfy.samplers

    results: list[Any] = []

    def probing_sampler(
        denoise: Any, noise: Tensor, sigmas: Tensor, extra_args: dict[str, Any], **_: Any
    ) -> Tensor:
        level = sigmas[:1].expand(len(noise)).contiguous()
        results.append(probe(lambda: denoise(noise, level, **extra_args)))
        return noise

    cells = sizes.picture_px // 8
    latent = torch.zeros(1, 4, cells, cells)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
    sampler = comfy.samplers.KSAMPLER(probing_sampler)
    comfy.sample.sample_custom(
        model,
        noise,
        GUIDANCE,
        sampler,
        torch.tensor([5.0, 0.0]),
        positive,
        negative,
        latent,
        disable_pbar=True,
        seed=0,
    )
    return results[0]
