"""A small set in COCO's format, and servers that describe its pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import COUNT, Serve
from loopback import Loopback, VisionServer
from PIL import Image


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[Loopback] = []

    def start(*arguments: Any, **options: Any) -> VisionServer:
        running.append(VisionServer(*arguments, **options))
        return running[-1]  # type: ignore[return-value]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``instances.json`` and ``images/`` of noise, so that all crops differ."""
    folder = tmp_path_factory.mktemp("coco")
    (folder / "images").mkdir()
    rng = np.random.Generator(np.random.PCG64(0))
    images, annotations = [], []
    for number in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(
            folder / "images" / f"{number:012d}.png"
        )
        images.append({"id": number, "file_name": f"{number:012d}.png", "width": 80, "height": 60})
        for place in range(3):
            box = [12 + 10 * place, 4 + 6 * number, 14 + place, 20]
            annotations.append(
                {
                    "id": 10 * number + place,
                    "image_id": number,
                    "category_id": 7,
                    "iscrowd": 0,
                    "bbox": box,
                }
            )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 7, "name": "kite"}],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    return folder
