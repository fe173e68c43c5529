"""The time of a sampling step with and without the adapter."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from ifadapter_diffusers.adapted_unet import AdaptedUNet, BatchInstances, RowGroup
from ifadapter_diffusers.sampling import batch_tokens, guidance_rows, unit_noise

from ..layouts.layout_sets import LayoutSet
from ..painting import Shipped
from ..studio import Studio

INSTANCES = (1, 2, 4, 6, 10)
REPEATS, WARMUP = 30, 3


@torch.no_grad()
def measure_steps(studio: Studio, _scores: Any, repeats: int = REPEATS) -> dict[str, Any]:
    """Steps of one layout with guidance, by number of instances; nothing unless ``Options.timing``."""
    if not studio.options.timing:
        return {}
    painter = studio.painter(Shipped())
    base, adapter = painter.base, painter.adapter
    processors = base.unet.attn_processors
    steps, encode = [], 0.0
    for count in INSTANCES:
        layouts = [LayoutSet("counts", count).scene(studio.world, 0).layout]
        conditioning = guidance_rows(base, layouts)
        noise = unit_noise(base, layouts, torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
        timesteps = torch.full((2,), 500, device=base.device)
        plain = _median_ms(lambda: base.predict(noise, timesteps, conditioning), repeats)  # noqa: B023

        adapted = AdaptedUNet(base.unet, adapter)
        tokens = batch_tokens(adapter, base, layouts)[0]
        encode = _median_ms(lambda: batch_tokens(adapter, base, layouts), repeats)  # noqa: B023
        rows = torch.stack([tokens.uncond, tokens.cond])
        groups = BatchInstances([RowGroup((0, 1), rows, tokens.boxes, tokens.strengths)])
        with_adapter = _median_ms(lambda: adapted(noise, timesteps, conditioning, groups), repeats)  # noqa: B023
        base.unet.set_attn_processor(dict(processors))
        steps.append({"instances": count, "plain_ms": plain, "adapted_ms": with_adapter})
    weights = [sum(weight.numel() for weight in part.parameters()) for part in (adapter, base.unet)]
    return {
        "steps": steps,
        "encode_ms": encode,
        "repeats": repeats,
        "weight_share": weights[0] / weights[1],
        "device": torch.cuda.get_device_name() if studio.kind == "cuda" else studio.kind,
    }


def _median_ms(call: Callable[[], Any], repeats: int) -> float:
    times = []
    for number in range(WARMUP + repeats):
        before = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if number >= WARMUP:
            times.append(1000 * (time.perf_counter() - before))
    return statistics.median(times)
