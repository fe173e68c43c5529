"""Runs parts one after another in this process."""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch

from .options import KERNELS, Options
from .report import Report

# Part -> module and function that runs it; imported in its turn, so that a failing import is the part's.
RUNNERS = {
    "exactness": ("exactness", "run"),
    "layers": ("layer_times", "run"),
    "unet": ("unet_calls", "run"),
    "encoding": ("encoding", "run"),
    "memory": ("layer_times", "run_memory"),
    "launches": ("layer_times", "run_launches"),
    "compiled": ("layer_times", "run_compiled"),
}


def run_parts(arguments: argparse.Namespace, report: Report, seconds: Mapping[str, float]) -> None:
    """Run parts into the report. seconds: part -> time limit. ``arguments.total``: that of all together.

    After an error that leaves the GPU unusable, ends the process; the parts left are for a new one.
    """
    end = time.monotonic() + arguments.total
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no CUDA device. Give --device cpu --small to try the command without.")
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())  # equal to the device of its tensors
    kernels = tuple(arguments.kernels.split(","))
    if unknown := set(kernels) - KERNELS.keys():
        raise SystemExit(f"unknown kernels: {', '.join(sorted(unknown))}; there are: {', '.join(KERNELS)}.")
    if "triton" in kernels and device.type != "cuda":
        raise SystemExit("Triton's kernels need a GPU. Give --kernels torch to try the command without.")
    options = Options(device, arguments.small, kernels)
    report.data["setting"] = setting(options)
    for name, limit in seconds.items():
        part = report.part(name, min(limit, end - time.monotonic()))
        try:
            module, function = RUNNERS[name]
            getattr(importlib.import_module(f"{__package__}.{module}"), function)(part, options)
        except Exception as error:
            part.fail(name, error)
        if options.on_gpu:
            try:
                torch.cuda.synchronize(device)
                torch.cuda.empty_cache()
            except RuntimeError as error:
                part.fail("the GPU is unusable after this part", error)
                part.finish()
                sys.exit(3)
        part.finish()


def setting(options: Options) -> dict[str, Any]:
    """Versions and names of what is measured."""
    return {
        "device": torch.cuda.get_device_name(options.device)
        if options.on_gpu
        else f"CPU {platform.machine()}",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "dtype": str(options.dtype).removeprefix("torch."),
        "small": options.small,
    }
