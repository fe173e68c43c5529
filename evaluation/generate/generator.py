"""Generates NAME.png for each layout, with any number of concurrent sources.

Existing pictures are kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from tqdm.auto import tqdm

from ifadapter_core.layout import Layout

from ..benchmark import Benchmark, Entry
from ..errors import EvaluationError
from ..files import pin_settings, png_bytes, write_atomic
from ..pictures import aspect_ratio_matches, picture_path
from ..worklist import Worklist, in_threads

GENERATION = "generation.json"
ATTEMPTS = 3  # per picture, over all sources


class Source(Protocol):
    """Generates one picture at a time.

    name: for messages.
    """

    name: str

    def paint(self, layout: Layout, seed: int) -> Image.Image:
        """Raises PictureError if this picture failed, SourceLostError if the source can generate no more."""
        ...


class PictureError(RuntimeError):
    """One picture failed; the source can go on."""


class SourceLostError(RuntimeError):
    """A source is lost, together with the picture it was working on."""


class GenerationError(EvaluationError):
    """Some pictures were not generated. The message says how many and why."""


def seed_of(seed: int, name: str) -> int:
    """The seed of one picture, 32 bits. It depends on the run's seed and the layout's name only.

    So it is the same for every method, in any order, and with any selection of layouts.
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")


def generate(
    benchmark: Benchmark,
    sources: Sequence[Source],
    folder: Path,
    seed: int,
    settings: dict[str, Any],
) -> None:
    """Generate the pictures that are missing in ``folder``, one thread per source.

    A picture that a source failed at or lost is queued again, up to ``ATTEMPTS`` attempts in all.

    settings: everything but the benchmark and the seed that the pictures depend on, for
        ``generation.json``.

    Raises ValueError if the folder holds pictures of other settings, GenerationError if pictures
    are still missing.
    """
    pin_settings(folder / GENERATION, {"benchmark": benchmark.digest, "seed": seed, **settings}, "pictures")

    # Queue the missing pictures.
    remaining = missing_pictures(benchmark, folder)
    work = Worklist(remaining)
    attempts = dict.fromkeys((entry.name for entry in remaining), 0)
    problems: dict[str, str] = {}  # last error by picture name
    fatal: list[BaseException] = []
    total = len(benchmark.entries)
    bar = tqdm(total=total, initial=total - len(remaining), unit="picture", dynamic_ncols=True)

    def paint(entry: Entry, source: Source) -> None:
        picture = source.paint(entry.layout, seed_of(seed, entry.name))
        check_aspect_ratio(picture, entry.layout)
        write_atomic(picture_path(folder, entry.name), png_bytes(picture))
        bar.update()

    def give_back(entry: Entry, error: Exception) -> None:
        logging.warning("%s: %s", entry.name, error)
        attempts[entry.name] += 1
        problems[entry.name] = str(error)
        work.done(again=entry if attempts[entry.name] < ATTEMPTS else None)

    def serve(source: Source) -> None:
        while (entry := work.take()) is not None:
            try:
                paint(entry, source)
            except PictureError as error:  # noqa: PERF203  (a failure must not end the loop)
                give_back(entry, error)
            except SourceLostError as error:
                give_back(entry, error)
                return
            except BaseException as error:  # every source would fail, for example at a wrong workflow
                fatal.append(error)
                work.clear()
                work.done()
                return
            else:
                work.done()

    # Run all sources until the queue is empty, all are lost, or one hits a fatal error.
    try:
        in_threads([lambda source=source: serve(source) for source in sources])  # type: ignore[misc]
    finally:
        bar.close()
    if fatal:
        raise fatal[0]

    # Report what is still missing.
    missing = missing_pictures(benchmark, folder)
    if missing:
        reason = problems.get(missing[0].name) or next(iter(problems.values()), "")
        raise GenerationError(
            f"{len(missing)} of {total} pictures are missing, for example {missing[0].name}: "
            f"{reason} Run the same command to resume."
        )


def missing_pictures(benchmark: Benchmark, folder: Path) -> list[Entry]:
    """The entries without a picture in the folder."""
    return [entry for entry in benchmark.entries if not picture_path(folder, entry.name).exists()]


def check_aspect_ratio(picture: Image.Image, layout: Layout) -> None:
    """Raises ValueError if the boxes do not fit the picture: its aspect ratio is not the layout's."""
    if not aspect_ratio_matches(picture.size, layout):
        raise ValueError(
            f"The picture has {picture.width} x {picture.height} pixels, its layout "
            f"{layout.width} x {layout.height}. Link the layout node's width and height to the "
            "empty latent, or name the inputs with --slot width=NODE.INPUT and --slot height=NODE.INPUT."
        )
