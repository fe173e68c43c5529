"""Small pictures with layouts, as files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from training.cropping.crops import square_crops
from training.pictures.batches import PictureBatches
from training.pictures.folder import FolderSamples

BOX = {"box": [4, 4, 20, 20], "caption": "a thing"}


def write(folder: Path, name: str, boxes: int = 1) -> Path:
    """A picture of noise, so that its file is long enough to be cut, and its layout."""
    pixels = torch.randint(256, (40, 48, 3), generator=torch.Generator().manual_seed(len(name)))
    Image.frombytes("RGB", (48, 40), bytes(pixels.flatten().tolist())).save(folder / name)
    layout = {"caption": name, "annotations": [BOX] * boxes}
    (folder / name).with_suffix(".json").write_text(json.dumps(layout))
    return folder / name


def folder_batches(
    folder: Path, size: int, batch_size: int, *, slots: int | None = None, **more: Any
) -> PictureBatches:
    """The batches of all pictures in a folder, cropped to squares of the size."""
    crops = square_crops(FolderSamples(folder, slots), size, seed=more.get("seed", 0))
    return PictureBatches(crops, batch_size, **more)


def varied(folder: Path, names: Iterable[str]) -> Path:
    """A folder of pictures of different pixels, sizes and boxes, named by their captions."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = 40 + number % 7, 60 - number % 5
        pixels = torch.randint(256, (height, width, 3), generator=torch.Generator().manual_seed(number))
        Image.frombytes("RGB", (width, height), bytes(pixels.flatten().tolist())).save(path)
        boxes = [{"box": [4, 4 + each, 20, 20], "caption": f"thing {each}"} for each in range(1 + number % 3)]
        path.with_suffix(".json").write_text(json.dumps({"caption": name, "annotations": boxes}))
    return folder
