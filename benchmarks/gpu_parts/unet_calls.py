"""Part 3: a whole UNet call at SDXL's size, without and with the adapter, beside regional prompts."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from typing import Any

import torch
from timing import summarize
from torch import Tensor

from . import comfyui, diffusers_unet
from .measure import Successive, graphed, peak_mib, successive_times
from .models import RELEASE, SMALL, Sizes, random_adapter
from .options import KERNELS, Options
from .report import Part, Row

COUNTS = (4, 10)
REGIONS = 4
ROUNDS, WARMUPS, CALLS = 6, 2, 6  # of every variant: rounds, and calls of a round
REGIONAL_ROUNDS = 2
SECONDS_KEPT = 10.0  # of the part, for memory and graphs

# Runs a probe on the UNet call of a variant, and returns what the probe returns.
Variant = Callable[[comfyui.Probe], Any]


def run(part: Part, options: Options) -> None:
    sizes = SMALL if options.small else RELEASE
    with torch.inference_mode():
        if comfyui.is_there():
            variants = _in_comfyui(sizes, options)
            part.content["through"] = "ComfyUI"
        elif importlib.util.find_spec("diffusers"):
            variants = _in_diffusers(sizes, options)
            part.content["through"] = "diffusers"
        else:
            part.leave_out("The UNet call: neither COMFYUI_PATH nor diffusers is there")
            return
        _measure(part, variants, options)


def _in_comfyui(sizes: Sizes, options: Options) -> dict[str, Variant]:
    comfyui.start(options.device)
    model = comfyui.load_unet(sizes, options.device, options.dtype)
    operations = importlib.import_module("comfy.ops").manual_cast
    core = comfyui.pack("ifadapter_core.adapter")
    # float32, as the release's file
    weights = random_adapter(sizes, options.device, torch.float32, operations, core.IFAdapter)
    ifadapter = comfyui.pack("nodes.host.files").patcher_for(weights)
    positive, negative = comfyui.prompts(sizes, options.device)

    def variant(used: Any, prompt: Any) -> Variant:
        return partial(comfyui.inside_sampler, used, prompt, negative, sizes)

    def with_instances(count: int) -> Variant:
        applied = cache(lambda: comfyui.adapted(model, ifadapter, sizes, count))  # its errors are the row's
        return lambda probe: variant(applied(), positive)(probe)

    variants = {"without": variant(model, positive)}
    variants |= {f"{count} instances": with_instances(count) for count in COUNTS}
    variants["without, again"] = variants["without"]
    for name, by_mask in (("ConditioningSetAreaPercentage", False), ("ConditioningSetMask", True)):
        prompt = comfyui.regional(positive, sizes, REGIONS, by_mask)
        variants[f"{name}, {REGIONS} regions"] = variant(model, prompt)
    return variants


def _in_diffusers(sizes: Sizes, options: Options) -> dict[str, Variant]:
    unet = diffusers_unet.AdaptedUNet(sizes, options.device, options.dtype)
    variants = {"without": partial(unet.call, None)}
    variants |= {f"{count} instances": partial(unet.call, unet.instances(count)) for count in COUNTS}
    return {**variants, "without, again": variants["without"]}


def _measure(part: Part, variants: dict[str, Variant], options: Options) -> None:
    """Time all variants in turns, then memory, then the same in a CUDA graph.

    The host's regional prompts only once: they use no kernel.
    """
    for number, kernel in enumerate(options.kernels):
        if number:
            variants = {name: variant for name, variant in variants.items() if "regions" not in name}
        with KERNELS[kernel]():
            _time_in_turns(part, variants, kernel, options)
            for name in variants:
                if not _is_extra(name):
                    part.row({"memory of": name, "kernel": kernel}, partial(_peak, variants[name], options))
            for name in variants:
                what = {"variant": name, "kernel": kernel, "in a CUDA graph": True}
                if options.on_gpu and not _is_extra(name):
                    part.row(what, partial(_in_graph, variants[name], options))


def _time_in_turns(part: Part, variants: dict[str, Variant], kernel: str, options: Options) -> None:
    """Rounds over all variants. A variant that fails is left out of the rounds that follow."""
    durations: dict[str, list[float]] = {name: [] for name in variants}
    rows: dict[str, Row] = {}
    failed: set[str] = set()

    def probe(call: Callable[[], Tensor]) -> tuple[Successive, bool]:
        outputs = [call() for _ in range(WARMUPS)]
        finite = all(bool(output.isfinite().all()) for output in outputs)
        return successive_times(call, options.device, 2 if options.small else CALLS), finite

    for number in range(1 if options.small else ROUNDS):
        for name, variant in variants.items():
            is_slow = "regions" in name and number >= REGIONAL_ROUNDS
            if name in failed or is_slow or part.seconds_left < SECONDS_KEPT:
                continue
            try:
                measured, finite = variant(probe)
            except Exception as error:
                failed.add(name)
                part.fail(name, error)
                continue
            durations[name] += measured.ms
            if name not in rows:
                rows[name] = {"variant": name, "kernel": kernel}
                part.add(rows[name])
            rows[name] |= {
                "ms": asdict(summarize(durations[name])),
                "calls": len(durations[name]),
                "host_ms": measured.host_ms,
                "finite": finite,
            }
            part.flush()
    for name in variants.keys() - rows.keys() - failed:
        part.leave_out(f"{name}: no time was left")


def _is_extra(name: str) -> bool:
    """Whether a variant is only timed: the repetition and the host's regional prompts."""
    return "again" in name or "regions" in name


def _peak(variant: Variant, options: Options, row: Row) -> None:
    row["peak_mib"] = round(variant(partial(peak_mib, device=options.device)), 1)


def _in_graph(variant: Variant, options: Options, row: Row) -> None:
    def probe(call: Callable[[], Tensor]) -> list[float]:
        replay = graphed(call, WARMUPS)
        return successive_times(replay, options.device, 3 * CALLS).ms[2:]

    row["ms"] = asdict(summarize(variant(probe)))
