"""``python -m evaluation generate``: the layouts of a benchmark as pictures, by ComfyUI or by the core."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..benchmark import read_benchmark
from ..generate.generator import Source, generate, missing_pictures
from ..generate.workflow import Workflow, read_workflow

if TYPE_CHECKING:
    from ifadapter_diffusers.sampling import (
        Control,
    )  # imports torch, which pictures through ComfyUI do without

PAPER_STEPS, PAPER_GUIDANCE = 30, 7.5  # the release's inference settings
COMFYUI_ONLY = ("workflow", "slot", "set", "timeout")
CORE_ONLY = (
    "adapter",
    "method",
    "steps",
    "guidance",
    "strength",
    "start",
    "end",
    "layers",
    "front_hides_back",
    "device",
    "half",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", type=Path, help="folder that `python -m evaluation build` wrote")
    parser.add_argument(
        "output", type=Path, help="folder for the pictures NAME.png; those that are there are kept"
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """All but the folders. What is left out is None, so that it can be told from what was given."""
    parser.add_argument(
        "--seed", type=int, default=0, help="the seed of each picture comes from this one and its name"
    )
    comfyui = parser.add_argument_group("with ComfyUI")
    comfyui.add_argument(
        "--server", action="append", metavar="HOST:PORT", help="a running ComfyUI; several share the work"
    )
    comfyui.add_argument(
        "--workflow", type=Path, help="in API format, as workflows/api/place_things_with_boxes.json"
    )
    comfyui.add_argument(
        "--slot",
        action="append",
        metavar="NAME=NODE.INPUT",
        help="where layout, width, height, seed, prompt go and image comes from",
    )
    comfyui.add_argument(
        "--set",
        action="append",
        metavar="NODE.INPUT=VALUE",
        help="an input for all pictures, as KSampler.steps=20",
    )
    comfyui.add_argument("--timeout", type=float, metavar="SECONDS", help="for one picture (default 1800)")
    core = parser.add_argument_group("with diffusers")
    base = core.add_mutually_exclusive_group()
    base.add_argument(
        "--models",
        metavar="FOLDER_OR_ID",
        help="base model: diffusers' format, a hub id, or one .safetensors file",
    )
    base.add_argument(
        "--demo",
        metavar="FOLDER",
        help="the small models with their adapter and their sampler's settings, as demo",
    )
    core.add_argument("--adapter", type=Path, help="file of the adapter, .bin or .safetensors")
    core.add_argument(
        "--method",
        metavar="KEY",
        help="full (default); its ablations appearance and eot; its baselines caption, placed and regional",
    )
    core.add_argument("--steps", type=int, help=f"of the sampler (default {PAPER_STEPS})")
    core.add_argument(
        "--guidance", type=float, help=f"strength of classifier-free guidance (default {PAPER_GUIDANCE})"
    )
    core.add_argument("--strength", type=float, help="of the adapter (default 1)")
    core.add_argument(
        "--start",
        type=float,
        metavar="PERCENT",
        help="where in the noise schedule the adapter starts, 0..1 (default 0)",
    )
    core.add_argument("--end", type=float, metavar="PERCENT", help="where it stops, 0..1 (default 1)")
    core.add_argument("--layers", metavar="N,N", help="numbers of the adapted layers that act (default: all)")
    core.add_argument(
        "--front-hides-back",
        action="store_true",
        default=None,
        help="depth order instead of the learned gate",
    )
    core.add_argument("--device", help="as cuda (default cpu)")
    core.add_argument(
        "--half", action="store_true", default=None, help="float16 for the UNet and the text encoders"
    )


def run(options: argparse.Namespace) -> int:
    """Raises ValueError, OSError or GenerationError with what to do about it."""
    benchmark = read_benchmark(options.benchmark)
    settings = settings_of(options)
    sources: list[Source] = []  # no model is loaded for pictures that are there
    if missing_pictures(benchmark, options.output):
        sources = _comfyui(options) if options.server else _core(options, settings)
    generate(benchmark, sources, options.output, options.seed, settings)
    return 0


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """What pictures come from, beside their benchmark and their seed; no model is loaded. Raises ValueError for a wrong option."""
    if (options.server is None) == (options.models is None and options.demo is None):
        raise ValueError(
            "Say what makes the pictures: either --server and --workflow, or --models and --adapter, or --demo."
        )
    return _comfyui_settings(options) if options.server else _core_settings(options)


def _comfyui_settings(options: argparse.Namespace) -> dict[str, Any]:
    _refuse(options, CORE_ONLY, "a ComfyUI makes the pictures: change the workflow, or use --set")
    if options.workflow is None:
        raise ValueError(
            "Name a workflow in API format with --workflow, as workflows/api/place_things_with_boxes.json."
        )
    workflow = _workflow(options)
    slots = {name: ".".join(filter(None, slot)) for name, slot in sorted(workflow.slots.items())}
    content = json.dumps(workflow.graph, sort_keys=True)
    return {"workflow": hashlib.sha256(content.encode()).hexdigest(), "slots": slots, "graph": workflow.graph}


def _comfyui(options: argparse.Namespace) -> list[Source]:
    from ..generate.comfyui import PICTURE_TIMEOUT_S, ComfyUI

    workflow = _workflow(options)
    return [ComfyUI(address, workflow, options.timeout or PICTURE_TIMEOUT_S) for address in options.server]


def _workflow(options: argparse.Namespace) -> Workflow:
    return read_workflow(options.workflow, options.slot or (), options.set or ())


def _core_settings(options: argparse.Namespace) -> dict[str, Any]:
    from ifadapter_diffusers.sampling import GUIDANCE, STEPS
    from shapes.methods import METHODS

    from ..files import digest_of
    from ..generate.core import weights_of

    _refuse(options, COMFYUI_ONLY, "the core makes the pictures: it belongs to --server")
    adapter = _adapter(options)
    if not adapter.is_file():
        raise ValueError(f"There is no adapter {adapter}. Name its file with --adapter.")
    method = _given(options.method, "full")
    if method not in METHODS:
        raise ValueError(f"--method is {method!r}; expected one of {', '.join(METHODS)}.")
    steps, guidance = (STEPS, GUIDANCE) if options.demo else (PAPER_STEPS, PAPER_GUIDANCE)
    return {
        "models": weights_of(options.demo or options.models),
        "adapter": digest_of(adapter),
        "method": method,
        "steps": _given(options.steps, steps),
        "guidance": _given(options.guidance, guidance),
        "layers": _numbers(options.layers),
        **vars(_control(options)),
        "half": bool(options.half),
    }


def _core(options: argparse.Namespace, settings: dict[str, Any]) -> list[Source]:
    import torch

    from ifadapter_diffusers.painter import Painter
    from shapes.methods import METHODS

    from ..generate.core import Core

    painter = Painter(
        options.demo or options.models,
        adapter=_adapter(options),
        control=_control(options),
        device=_given(options.device, "cpu"),
        dtype=torch.half if options.half else torch.float,
        steps=settings["steps"],
        guidance=settings["guidance"],
        layers=settings["layers"],
    )
    return [Core(painter, METHODS[settings["method"]])]


def _adapter(options: argparse.Namespace) -> Path:
    return options.adapter or Path(options.demo or options.models) / "ifadapter.safetensors"


def _control(options: argparse.Namespace) -> Control:
    from ifadapter_diffusers.sampling import Control

    return Control(
        strength=_given(options.strength, 1.0),
        start_percent=_given(options.start, 0.0),
        end_percent=_given(options.end, 1.0),
        front_hides_back=bool(options.front_hides_back),
    )


def _refuse(options: argparse.Namespace, names: tuple[str, ...], reason: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]
    if given:
        raise ValueError(f"{', '.join(given)} cannot be used: {reason}.")


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--layers is {text!r}; expected whole numbers with commas between, as 40,41."
        ) from None


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value
