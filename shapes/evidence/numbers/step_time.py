"""The time of a sampling step with and without the adapter, and the size of adapters."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from ifadapter_diffusers.adapted_unet import AdaptedUNet, BatchInstances, RowGroup
from ifadapter_diffusers.painter import Painter
from ifadapter_diffusers.sampling import batch_tokens, guidance_rows, unit_noise

from ..layouts.layout_sets import LayoutSet
from ..painting import Models, Shipped
from ..studio import Studio

INSTANCES = (1, 2, 4, 6, 10)
USUAL_INSTANCES = 4
REPEATS, WARMUP = 30, 3


def measure_steps(studio: Studio, _scores: Any, repeats: int = REPEATS) -> dict[str, Any]:
    """Steps of one layout by number of instances, and memory; nothing unless ``Options.timing``."""
    if not studio.options.timing:
        return {}
    painter = studio.painter(Shipped())
    steps = [_step(studio, painter, count, repeats) for count in INSTANCES]
    weights = [_count(part) for part in (painter.adapter, painter.base.unet)]
    return {
        "steps": steps,
        "repeats": repeats,
        "weight_share": weights[0] / weights[1],
        "device": torch.cuda.get_device_name() if studio.kind == "cuda" else studio.kind,
    }


def time_models(studio: Studio, models: Models, repeats: int = REPEATS) -> dict[str, Any]:
    """A step of one layout with four instances."""
    return _step(studio, studio.painter(models), USUAL_INSTANCES, repeats)


def weight_count(studio: Studio, models: Models) -> int:
    """The number of weights of an adapter."""
    return _count(studio.painter(models).adapter)


@torch.no_grad()
def _step(studio: Studio, painter: Painter, count: int, repeats: int) -> dict[str, Any]:
    """Median times in ms of a step without and with the adapter, and of encoding the instances.

    On a GPU also the peak of the allocated memory in MiB, without and with the adapter.
    """
    base, adapter = painter.base, painter.adapter
    layouts = [LayoutSet("counts", count).scene(studio.world, 0).layout]
    conditioning = guidance_rows(base, layouts)
    noise = unit_noise(base, layouts, torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    timesteps = torch.full((2,), 500, device=base.device)
    plain = _measured(lambda: base.predict(noise, timesteps, conditioning), repeats)

    processors = base.unet.attn_processors
    adapted = AdaptedUNet(base.unet, adapter)
    tokens = batch_tokens(adapter, base, layouts)[0]
    encode = _measured(lambda: batch_tokens(adapter, base, layouts), repeats)
    rows = torch.stack([tokens.uncond, tokens.cond])
    groups = BatchInstances([RowGroup((0, 1), rows, tokens.boxes, tokens.strengths)])
    acting = _measured(lambda: adapted(noise, timesteps, conditioning, groups), repeats)
    base.unet.set_attn_processor(processors)
    found: dict[str, Any] = {
        "instances": count,
        "plain_ms": plain[0],
        "adapted_ms": acting[0],
        "encode_ms": encode[0],
    }
    if torch.cuda.is_available():
        found |= {"plain_mib": plain[1], "adapted_mib": acting[1]}
    return found


def _measured(call: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median time in ms, and on a GPU the peak of the allocated memory in MiB."""
    times, on_gpu = [], torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    for number in range(WARMUP + repeats):
        before = time.perf_counter()
        call()
        if on_gpu:
            torch.cuda.synchronize()
        if number >= WARMUP:
            times.append(1000 * (time.perf_counter() - before))
    return statistics.median(times), torch.cuda.max_memory_allocated() / 2**20 if on_gpu else 0.0


def _count(part: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in part.parameters())
