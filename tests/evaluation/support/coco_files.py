"""A small set in COCO's format: its drafts, and a builder that asks a local server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from loopback import VisionServer

from evaluation.build.builder import CocoBuilder
from evaluation.build.coco import Draft, Selection, choose, read_annotations
from evaluation.vision_language import Endpoint

COUNT = 4
SIZE = 128
TIMEOUT_S = 0.2

Serve = Callable[..., VisionServer]


def drafts(coco: Path) -> list[Draft]:
    return choose(read_annotations(coco / "instances.json"), Selection(), COUNT, seed=0)


def builder(
    coco: Path, folder: Path, server: VisionServer, waits: list[float] | None = None, **options: Any
) -> CocoBuilder:
    model = Endpoint(server.url, "tiny-vl", TIMEOUT_S, wait=[].append if waits is None else waits.append)
    return CocoBuilder(folder, coco / "images", SIZE, model, {"seed": 0}, **options)
