"""The scenes that studies train on, drawn in a look by the judging processes and kept in the cache."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import CLIPTokenizer

from ...models.config import CELL, PoolConfig
from ...models.pool import CAPTIONS, Arrays, caption_texts, sample_with_room
from ...models.pool_batches import PoolTensors
from ...models.vocabulary import LENGTH
from ...sampler import World
from ..cache import Cache, digest, write_atomic
from ..looks.table import LOOKS

CHUNK = 500  # scenes of one file
CROWDED, CROWDING, SHARED = 0.15, 5, 6  # as in the demo's training


def pool_config(pictures: int, pixels: int) -> PoolConfig:
    """pixels: number of scenes whose pictures are kept too."""
    return PoolConfig(pictures, max(min(pixels, pictures), 1), CROWDED, CROWDING, SHARED)


def pool_settings(world: World, look: str, config: PoolConfig, tokenizer: Path) -> dict[str, Any]:
    """All that decides a pool, as JSON. tokenizer: its folder."""
    return {
        "world": asdict(world),
        "look": look,
        "pool": asdict(config),
        "tokenizer": tokenizer_name(tokenizer),
    }


def tokenizer_name(folder: Path) -> str:
    """Content hash of a tokenizer's files."""
    parts = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in sorted(folder.iterdir())]
    return digest(parts)


def draw_pool(
    cache: Cache,
    workers: Executor,
    world: World,
    look: str,
    config: PoolConfig,
    tokenizer: Path,
    device: torch.device,
) -> tuple[PoolTensors, NDArray[np.uint8]]:
    """The scenes on the device, and the pictures of the first of them.

    tokenizer: its folder. Chunks that were drawn before are read from the cache.
    """
    place = cache.place("pools", pool_settings(world, look, config, tokenizer))
    starts = range(0, config.pictures, CHUNK)
    paths = [place / f"{first:06d}.npz" for first in starts]
    jobs = [
        workers.submit(draw_chunk, path, world, look, config, first, tokenizer)
        for path, first in zip(paths, starts, strict=True)
        if not path.exists()
    ]
    for job in jobs:
        job.result()
    return _read(paths, device)


def _read(paths: Sequence[Path], device: torch.device) -> tuple[PoolTensors, NDArray[np.uint8]]:
    parts = []
    for path in paths:
        with np.load(path) as file:
            parts.append({name: file[name] for name in file.files})
    arrays = Arrays(*(np.concatenate([part[name] for part in parts]) for name in Arrays._fields))
    numbers: dict[str, int] = {}
    chosen = np.zeros(arrays.boxes.shape[:2], np.int64)
    for scene, text in enumerate(text for part in parts for text in part["texts"].tolist()):
        texts = text.split("\n") if text else []
        chosen[scene, : len(texts)] = [numbers.setdefault(each, len(numbers)) for each in texts]
    return PoolTensors.from_arrays(arrays, list(numbers), chosen, device), arrays.pixels


def draw_chunk(path: Path, world: World, look: str, config: PoolConfig, first: int, tokenizer: Path) -> None:
    """Draw CHUNK scenes, or those that are left, from number ``first`` into a file."""
    styled, numbers = LOOKS[look], range(first, min(first + CHUNK, config.pictures))
    usual = replace(styled.world(world), shared=config.shared)
    crowded = replace(usual, crowding=config.crowding)
    slots, side = world.instances[1], world.size // CELL
    pixels, cells = [], []
    captions: list[str] = []
    boxes, counts = np.zeros((len(numbers), slots, 4), np.float32), []
    texts = []
    for row, number in enumerate(numbers):
        heavy = int((number + 1) * config.crowded) > int(number * config.crowded)
        scene = styled.words(sample_with_room(crowded if heavy else usual, number, config.pictures))
        picture = styled.draw(scene)
        if number < config.pixels:
            pixels.append(picture)
        cells.append(picture.reshape(side, CELL, side, CELL, 3).sum(axis=(1, 3), dtype=np.int16))
        figures = scene.figures
        boxes[row, : len(figures)] = np.array([one.box_px for one in figures], np.float32) / world.size
        counts.append(len(figures))
        captions += caption_texts(scene)
        texts.append("\n".join(one.local_description for one in figures))
    ids = _tokenizer(str(tokenizer))(captions, padding="max_length", truncation=True, max_length=LENGTH)[
        "input_ids"
    ]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        pixels=np.array(pixels, np.uint8).reshape(-1, world.size, world.size, 3),
        cells=np.stack(cells),
        captions=np.array(ids, np.int16).reshape(len(numbers), len(CAPTIONS), LENGTH),
        boxes=boxes,
        counts=np.array(counts, np.int16),
        texts=np.array(texts),
    )
    write_atomic(path, buffer.getvalue())


@lru_cache(maxsize=2)
def _tokenizer(folder: str) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)
