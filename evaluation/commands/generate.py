"""``python -m evaluation generate``: pictures of a benchmark's layouts, by ComfyUI or by diffusers."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..benchmark import read_benchmark
from ..generate.settings import ComfyUISettings, DiffusersSettings, GenerateSettings
from ..generate.sources import generate_folder
from ..generate.workflow import read_workflow
from .options import at_least, given, refuse

RELEASE_STEPS, RELEASE_GUIDANCE = 30, 7.5  # the release's inference settings
DEFAULT_TIMEOUT_S = 1800.0
COMFYUI_ONLY = ("workflow", "slot", "set", "timeout")
DIFFUSERS_ONLY = (
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
    parser.add_argument("benchmark", type=Path, help="folder written by `python -m evaluation build`")
    parser.add_argument(
        "output", type=Path, help="folder for the pictures NAME.png; existing pictures are kept"
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """All options but the folders.

    An option that was not given is None, so that a misplaced one can be refused.
    """
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the run; each picture's seed comes from it and its name",
    )
    _add_comfyui_options(parser.add_argument_group("with ComfyUI"))
    _add_diffusers_options(parser.add_argument_group("with diffusers"))


def _add_comfyui_options(comfyui: argparse._ArgumentGroup) -> None:
    comfyui.add_argument(
        "--server",
        action="append",
        metavar="HOST:PORT",
        help="a running ComfyUI; repeat to share the work",
    )
    comfyui.add_argument(
        "--workflow",
        type=Path,
        help="workflow in API format, for example workflows/api/place_things_with_boxes.json",
    )
    comfyui.add_argument(
        "--slot",
        action="append",
        metavar="NAME=NODE.INPUT",
        help="input for layout, width, height, seed or prompt, or the output node of image; repeatable",
    )
    comfyui.add_argument(
        "--set",
        action="append",
        metavar="NODE.INPUT=VALUE",
        help="input for all pictures, for example KSampler.steps=20; repeatable",
    )
    comfyui.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help=f"time limit per picture (default {DEFAULT_TIMEOUT_S:.0f})",
    )


def _add_diffusers_options(diffusers: argparse._ArgumentGroup) -> None:
    base = diffusers.add_mutually_exclusive_group()
    base.add_argument(
        "--models",
        metavar="FOLDER_OR_ID",
        help="base model: folder in diffusers' format, hub id, or one .safetensors file",
    )
    base.add_argument(
        "--demo",
        metavar="FOLDER",
        help="the small models, with their adapter and sampler settings, for example demo",
    )
    diffusers.add_argument("--adapter", type=Path, help="the adapter's file, .bin or .safetensors")
    diffusers.add_argument(
        "--method",
        help="full (default), eot, appearance, regional, caption or placed; see docs/evaluation.md",
    )
    diffusers.add_argument("--steps", type=int, help=f"sampler steps (default {RELEASE_STEPS})")
    diffusers.add_argument(
        "--guidance",
        type=float,
        help=f"scale of classifier-free guidance (default {RELEASE_GUIDANCE})",
    )
    diffusers.add_argument("--strength", type=float, help="strength of the adapter (default 1)")
    diffusers.add_argument(
        "--start",
        type=float,
        metavar="FRACTION",
        help="where in the noise schedule the adapter starts, 0..1 (default 0)",
    )
    diffusers.add_argument(
        "--end",
        type=float,
        metavar="FRACTION",
        help="where in the noise schedule the adapter stops, 0..1 (default 1)",
    )
    diffusers.add_argument(
        "--layers", metavar="N,N", help="indices of the active adapted layers (default: all)"
    )
    diffusers.add_argument(
        "--front-hides-back",
        action="store_true",
        default=None,
        help="depth order in place of the learned gate",
    )
    diffusers.add_argument("--device", help="torch device, for example cuda (default cpu)")
    diffusers.add_argument(
        "--half",
        action="store_true",
        default=None,
        help="float16 for the UNet and the text encoders",
    )


def run(options: argparse.Namespace) -> int:
    """Raises ValueError, OSError or GenerationError with a message for the user."""
    settings = settings_of(options)
    generate_folder(read_benchmark(options.benchmark), options.output, settings)
    return 0


def settings_of(options: argparse.Namespace) -> GenerateSettings:
    """Raises ValueError for missing, contradictory or invalid options. Loads no model."""
    if (options.server is None) == (options.models is None and options.demo is None):
        raise ValueError(
            "Choose one source of pictures: --server with --workflow, --models with --adapter, or --demo."
        )
    return GenerateSettings(options.seed, _comfyui(options) if options.server else _diffusers(options))


def _comfyui(options: argparse.Namespace) -> ComfyUISettings:
    refuse(options, DIFFUSERS_ONLY, "ComfyUI generates the pictures; change the workflow, or use --set")
    if options.timeout is not None and not options.timeout > 0:
        raise ValueError(f"--timeout is {options.timeout:g} seconds; expected a positive number.")
    if options.workflow is None:
        raise ValueError(
            "--server needs --workflow, a workflow in API format such as "
            "workflows/api/place_things_with_boxes.json."
        )
    workflow = read_workflow(options.workflow, options.slot or (), options.set or ())
    return ComfyUISettings(tuple(options.server), workflow, given(options.timeout, DEFAULT_TIMEOUT_S))


def _diffusers(options: argparse.Namespace) -> DiffusersSettings:
    # These import torch, which generating with ComfyUI does not need.
    from ifadapter_diffusers.demo_settings import GUIDANCE, STEPS
    from ifadapter_diffusers.sampling import Control
    from shapes.methods import METHODS

    refuse(options, COMFYUI_ONLY, "diffusers generates the pictures; it needs --server")
    at_least(options, 1, "steps")
    method = given(options.method, "full")
    if method not in METHODS:
        raise ValueError(f"--method is {method!r}; expected one of {', '.join(METHODS)}.")
    models = options.demo or options.models
    steps, guidance = (STEPS, GUIDANCE) if options.demo else (RELEASE_STEPS, RELEASE_GUIDANCE)
    return DiffusersSettings(
        models=models,
        adapter=options.adapter or Path(models) / "ifadapter.safetensors",
        method=METHODS[method],
        steps=given(options.steps, steps),
        guidance=given(options.guidance, guidance),
        layers=_indices(options.layers),
        control=Control(
            strength=given(options.strength, 1.0),
            start_percent=given(options.start, 0.0),
            end_percent=given(options.end, 1.0),
            front_hides_back=bool(options.front_hides_back),
        ),
        device=given(options.device, "cpu"),
        half=bool(options.half),
    )


def _indices(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--layers is {text!r}; expected comma-separated integers, for example 40,41."
        ) from None
