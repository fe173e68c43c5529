"""Settings of ``build``: the source of the layouts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CocoSettings:
    """Layouts from COCO's pictures and annotations.

    annotations: COCO's ``instances_*.json``.
    images: folder of its pictures.
    model: vision-language model that describes them, by hub id or folder.
    endpoints: base URLs of the servers that run the model, up to ``/v1``; none for a local model.
    requests: number of concurrent requests to each endpoint.
    device: torch device of a local model.
    size: side of the square canvas in pixels.
    seed: seed for the choice of pictures.
    """

    annotations: Path
    images: Path
    model: str
    endpoints: tuple[str, ...]
    requests: int
    device: str
    size: int
    seed: int


@dataclass(frozen=True)
class DrawnWorldSettings:
    """Layouts of the drawn world.

    config: training config that defines the world, by name or file.
    """

    config: str


@dataclass(frozen=True)
class BuildSettings:
    """A benchmark to build.

    output: its folder.
    count: number of layouts.
    source: where the layouts come from.
    """

    output: Path
    count: int
    source: CocoSettings | DrawnWorldSettings
