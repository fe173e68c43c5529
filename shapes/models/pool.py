"""A pool of drawn scenes as arrays. Several processes draw it, before and during the training."""

from __future__ import annotations

import math
import mmap
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from transformers import CLIPTokenizer

from ..descriptions import placed_caption
from ..drawing import draw
from ..sampler import TRAINING, World, sample_scene
from ..scene import Scene
from . import stages
from .config import CELL, PoolConfig
from .vocabulary import LENGTH, train_vocabulary

CAPTIONS = ("global", "full", "placed")  # kinds of captions, in the order of the arrays
CHUNK = 250  # scenes of one task
ATTEMPTS = 5  # numbers tried for a scene


class Arrays(NamedTuple):
    """N scenes of at most S instances, the first P with their pixels.

    pixels: uint8 (P, size, size, 3).
    cells: int16 (N, h, w, 3) sums of the pixels of each latent cell.
    captions: int16 (N, 3, 77) token ids of CAPTIONS.
    boxes: float32 (N, S, 4) x0 y0 x1 y1 in 0..1; zeros beyond the instances of a scene.
    counts: int16 (N,) number of instances.
    """

    pixels: NDArray[np.uint8]
    cells: NDArray[np.int16]
    captions: NDArray[np.int16]
    boxes: NDArray[np.float32]
    counts: NDArray[np.int16]


def new_arrays(world: World, config: PoolConfig) -> Arrays:
    """Zeros, in memory that forked processes share."""
    side, slots = world.size // CELL, world.instances[1]
    return Arrays(
        _shared((config.pixels, world.size, world.size, 3), np.uint8),
        _shared((config.pictures, side, side, 3), np.int16),
        _shared((config.pictures, len(CAPTIONS), LENGTH), np.int16),
        _shared((config.pictures, slots, 4), np.float32),
        _shared((config.pictures,), np.int16),
    )


def _shared(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An anonymous mapping: unlike /dev/shm, limited by the memory only."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, size), dtype).reshape(shape)


class Pool:
    """Scenes that are being drawn. Create it before the first use of a GPU: it forks processes.

    Raises ValueError for more pixels than pictures, or ``processes`` where none can be forked.
    """

    def __init__(self, world: World, config: PoolConfig, tokenizer: CLIPTokenizer) -> None:
        if not 0 < config.pixels <= config.pictures:
            raise ValueError(
                f"pool: pixels is {config.pixels}; expected 1 to pictures, which is {config.pictures}."
            )
        if config.processes and "fork" not in multiprocessing.get_all_start_methods():
            raise ValueError("pool: processes needs a system that forks processes. Set pool.processes=0.")
        world = replace(world, shared=config.shared)
        self.arrays = new_arrays(world, config)
        job = _Job(world, config, self.arrays, tokenizer)
        chunks = [
            range(first, min(first + CHUNK, config.pictures)) for first in range(0, config.pictures, CHUNK)
        ]
        self._for_pixels = math.ceil(config.pixels / CHUNK)
        self._texts: list[list[tuple[str, ...]]] = []
        self._futures: list[Future[list[tuple[str, ...]]]] = []
        self._workers = _workers(config.processes, job) if config.processes else None
        if self._workers:
            self._futures = [self._workers.submit(_draw, chunk) for chunk in chunks]
        else:
            _start(job)
            self._texts = [_draw(chunk) for chunk in chunks]

    def wait_for_pixels(self) -> NDArray[np.uint8]:
        """The pictures, once they are drawn."""
        self._wait(self._for_pixels)
        return self.arrays.pixels

    def wait(self) -> tuple[Arrays, list[str], NDArray[np.int64]]:
        """All arrays, the distinct local descriptions, and which of these each instance has.

        The last is int64 (N, S), 0 beyond the instances of a scene.
        """
        self._wait(len(self._futures))
        numbers: dict[str, int] = {}
        chosen = np.zeros(self.arrays.boxes.shape[:2], np.int64)
        for scene, texts in enumerate(texts for chunk in self._texts for texts in chunk):
            chosen[scene, : len(texts)] = [numbers.setdefault(text, len(numbers)) for text in texts]
        return self.arrays, list(numbers), chosen

    def close(self) -> None:
        """Stop drawing."""
        if self._workers:
            self._workers.shutdown(wait=False, cancel_futures=True)

    def _wait(self, chunks: int) -> None:
        """Raises the error of a process that failed."""
        while len(self._texts) < chunks and self._futures:
            self._texts.append(self._futures[len(self._texts)].result())


class _Job(NamedTuple):
    """What a drawing process works on."""

    world: World
    config: PoolConfig
    arrays: Arrays
    tokenizer: CLIPTokenizer


_job: _Job | None = None  # of this process


def _workers(processes: int, job: _Job | None) -> ProcessPoolExecutor:
    """Processes that inherit the job: nothing of it is copied."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # in this process and its children
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(processes, context, initializer=_start, initargs=(job,))


def _start(job: _Job | None) -> None:
    global _job
    _job = job


def _draw(numbers: range) -> list[tuple[str, ...]]:
    """Draw scenes into the arrays. Returns the local descriptions of each."""
    if _job is None:
        raise RuntimeError("The process has no job.")
    world, config, arrays, tokenizer = _job
    crowded = replace(world, crowding=config.crowding)
    captions: list[str] = []
    descriptions = []
    for number in numbers:
        heavy = int((number + 1) * config.crowded) > int(number * config.crowded)
        scene = sample_with_room(crowded if heavy else world, number, config.pictures)
        _store(arrays, number, scene)
        captions += caption_texts(scene)
        descriptions.append(tuple(figure.local_description for figure in scene.figures))
    ids = tokenizer(captions, padding="max_length", truncation=True, max_length=LENGTH)["input_ids"]
    arrays.captions[numbers.start : numbers.stop] = np.array(ids).reshape(len(numbers), -1, LENGTH)
    return descriptions


def sample_with_room(world: World, number: int, step: int) -> Scene:
    """The scene of a number, or of ``step`` later ones if there is no room for its figures."""
    for attempt in range(ATTEMPTS - 1):
        with suppress(ValueError):
            return sample_scene(world, TRAINING[number + attempt * step])
    return sample_scene(world, TRAINING[number + (ATTEMPTS - 1) * step])


def _store(arrays: Arrays, number: int, scene: Scene) -> None:
    pixels = draw(scene)
    if number < len(arrays.pixels):
        arrays.pixels[number] = pixels
    side = scene.size // CELL
    arrays.cells[number] = pixels.reshape(side, CELL, side, CELL, 3).sum(axis=(1, 3), dtype=np.int16)
    boxes = np.array([figure.box_px for figure in scene.figures], np.float32).reshape(-1, 4)
    arrays.boxes[number, : len(boxes)] = boxes / np.float32(scene.size)
    arrays.counts[number] = len(boxes)


def caption_texts(scene: Scene) -> tuple[str, str, str]:
    """The caption of each kind of CAPTIONS."""
    layout = scene.layout
    return layout.caption, layout.prompt, placed_caption(layout)


def prepare_vocabulary(run: stages.DemoRun, processes: int) -> CLIPTokenizer:
    """The run's tokenizer. Several processes write the sentences if it is trained here."""
    folder = run.folder / "tokenizer"
    if processes and not (folder / "tokenizer_config.json").exists():
        count = stages.SENTENCES
        parts = [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
        with _workers(processes, None) as workers:
            texts: Iterator[list[str]] = workers.map(_sentences, parts)
            train_vocabulary((text for part in texts for text in part), folder)
    return run.tokenizer


def _sentences(numbers: range) -> list[str]:
    return list(stages.sentences(numbers))
