"""From settings to pictures: opens the sources and generates the missing pictures."""

from __future__ import annotations

from pathlib import Path

from ..benchmark import Benchmark
from .generator import Source, generate, missing_pictures
from .settings import ComfyUISettings, DiffusersSettings, GenerateSettings


def generate_folder(benchmark: Benchmark, folder: Path, settings: GenerateSettings) -> None:
    """Generate the benchmark's missing pictures into ``folder``. Loads no model if there are none.

    Raises ValueError, OSError or GenerationError with a message for the user.
    """
    recorded = settings.source.recorded()
    sources = open_sources(settings) if missing_pictures(benchmark, folder) else []
    generate(benchmark, sources, folder, settings.seed, recorded)


def open_sources(settings: GenerateSettings) -> list[Source]:
    """One source per ComfyUI server, or one that runs diffusers in this process."""
    if isinstance(settings.source, ComfyUISettings):
        from .comfyui import ComfyUI

        comfyui = settings.source
        return [ComfyUI(server, comfyui.workflow, comfyui.timeout_s) for server in comfyui.servers]
    return [_open_diffusers(settings.source)]


def _open_diffusers(settings: DiffusersSettings) -> Source:
    import torch  # slow import, not needed for ComfyUI

    from ifadapter_diffusers.painter import Painter

    from .diffusers_source import DiffusersSource

    painter = Painter(
        settings.models,
        adapter=settings.adapter,
        control=settings.control,
        device=settings.device,
        dtype=torch.half if settings.half else torch.float,
        steps=settings.steps,
        guidance=settings.guidance,
        layers=settings.layers,
    )
    return DiffusersSource(painter, settings.method)
