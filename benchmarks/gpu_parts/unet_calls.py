"""Part 3: a whole UNet call at SDXL's size, without and with the adapter, beside regional prompts."""

from __future__ import annotations

import importlib
import importlib.util
import statistics
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

WITHOUT = "without"
COUNTS = (4, 10)
REGIONS = 4
ROUNDS, WARMUPS, CALLS = 8, 2, 4  # of every variant: rounds, and calls of a round
REGIONAL_ROUNDS = 2
SECONDS_KEPT = 10.0  # of the part, for memory and graphs

# Runs a probe on the UNet call of a variant, and returns what the probe returns.
Variant = Callable[[comfyui.Probe], Any]


def run(part: Part, options: Options) -> None:
    sizes = SMALL if options.small else RELEASE
    with torch.inference_mode():
        if comfyui.is_there():
            part.content["through"] = "ComfyUI"
            variants = _in_comfyui(sizes, options)
        elif importlib.util.find_spec("diffusers"):
            part.content["through"] = "diffusers"
            variants = _in_diffusers(sizes, options)
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

    variants = {WITHOUT: variant(model, positive)}
    variants |= {f"{count} instances": with_instances(count) for count in COUNTS}
    for name, by_mask in (("ConditioningSetAreaPercentage", False), ("ConditioningSetMask", True)):
        prompt = comfyui.regional(positive, sizes, REGIONS, by_mask)
        variants[f"{name}, {REGIONS} regions"] = variant(model, prompt)
    return variants


def _in_diffusers(sizes: Sizes, options: Options) -> dict[str, Variant]:
    unet = diffusers_unet.AdaptedUNet(sizes, options.device, options.dtype)
    variants = {WITHOUT: partial(unet.call, None)}
    return variants | {f"{count} instances": partial(unet.call, unet.instances(count)) for count in COUNTS}


def _measure(part: Part, variants: dict[str, Variant], options: Options) -> None:
    """Time all variants in turns, then memory, then the same in a CUDA graph.

    A variant without the adapter runs once: it uses no kernel of it.
    """
    first = options.kernels[0]
    uses = [(name, kernel) for kernel in options.kernels for name in variants if "instances" in name]
    _time_in_turns(
        part, variants, [*uses, *((name, first) for name in variants if "regions" in name)], options
    )
    uses = [(WITHOUT, first), *uses]
    for name, kernel in uses:
        with KERNELS[kernel]():
            part.row({"memory of": name, "kernel": kernel}, partial(_peak, variants[name], options))
    if not options.on_gpu:
        return
    if part.content["through"] == "ComfyUI":
        part.leave_out("UNet calls in a CUDA graph: ComfyUI copies tensors from the CPU within a call")
        return
    for name, kernel in uses:
        with KERNELS[kernel]():
            what = {"variant": name, "kernel": kernel, "in a CUDA graph": True}
            part.row(what, partial(_in_graph, variants[name], options))


def _time_in_turns(
    part: Part, variants: dict[str, Variant], uses: list[tuple[str, str]], options: Options
) -> None:
    """Rounds over all uses (variant, kernel), each next to calls without the adapter.

    The ratio of a use is that to the calls just before it, so that a machine that becomes slower does
    not change it. A use that fails is left out of the rounds that follow.
    """
    rows: dict[tuple[str, str], Row] = {}
    ms: dict[tuple[str, str], list[float]] = {use: [] for use in uses}
    ratios: dict[tuple[str, str], list[float]] = {use: [] for use in uses}
    without: Row = {"variant": WITHOUT, "kernel": options.kernels[0]}
    without_ms: list[float] = []
    failed: set[tuple[str, str]] = set()

    def probe(call: Callable[[], Tensor]) -> tuple[Successive, bool]:
        outputs = [call() for _ in range(WARMUPS)]
        finite = all(bool(output.isfinite().all()) for output in outputs)
        return successive_times(call, options.device, 2 if options.small else CALLS), finite

    def update(row: Row, measured: Successive, durations: list[float], finite: bool) -> None:
        durations += measured.ms
        row |= {
            "ms": asdict(summarize(durations)),
            "calls": len(durations),
            "host_ms": measured.host_ms,
            "finite": finite and row.get("finite", True),
        }

    for number in range(1 if options.small else ROUNDS):
        for use in uses:
            name, kernel = use
            is_slow = "regions" in name and number >= REGIONAL_ROUNDS
            if use in failed or is_slow or part.seconds_left < SECONDS_KEPT:
                continue
            try:
                base, base_finite = variants[WITHOUT](probe)
                with KERNELS[kernel]():
                    measured, finite = variants[name](probe)
            except Exception as error:
                failed.add(use)
                part.fail(f"{name}, {kernel}", error)
                continue
            if not without_ms:
                part.add(without)
            if use not in rows:
                rows[use] = {"variant": name, "kernel": kernel}
                part.add(rows[use])
            update(without, base, without_ms, base_finite)
            update(rows[use], measured, ms[use], finite)
            ratios[use].append(statistics.median(measured.ms) / statistics.median(base.ms))
            rows[use]["ratio"] = asdict(summarize(ratios[use]))
            part.flush()
    for name, kernel in uses:
        if (name, kernel) not in rows and (name, kernel) not in failed:
            part.leave_out(f"{name}, {kernel}: no time was left")


def _peak(variant: Variant, options: Options, row: Row) -> None:
    row["peak_mib"] = round(variant(partial(peak_mib, device=options.device)), 1)


def _in_graph(variant: Variant, options: Options, row: Row) -> None:
    def probe(call: Callable[[], Tensor]) -> list[float]:
        replay = graphed(call, WARMUPS)
        return successive_times(replay, options.device, 3 * CALLS).ms[2:]

    row["ms"] = asdict(summarize(variant(probe)))
