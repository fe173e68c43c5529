"""Layouts to pictures NAME.png, by any number of sources at once; what is there already is kept."""

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
from ..files import keep_settings, png_bytes, write_whole
from ..worklist import Worklist, in_threads

GENERATION = "generation.json"
ATTEMPTS = 3  # for each picture, by whatever source
ASPECT_TOLERANCE = (
    0.02  # pictures have the layout's proportions; their sides may be those of a grid of latents
)


class Source(Protocol):
    """What makes pictures, one at a time."""

    name: str

    def paint(self, layout: Layout, seed: int) -> Image.Image:
        """Raises PictureError when this picture could not be made, SourceLostError when the source makes none any more."""
        ...


class PictureError(RuntimeError):
    """A picture could not be made."""


class SourceLostError(RuntimeError):
    """A source is gone, and with it what it was at."""


class GenerationError(EvaluationError):
    """Not all pictures were made; the message names those that are missing, and why."""


def seed_of(seed: int, name: str) -> int:
    """The seed of one picture (32 bits): no two alike, the same whichever others are made, and for all methods the same."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")


def generate(
    benchmark: Benchmark, sources: Sequence[Source], folder: Path, seed: int, settings: dict[str, Any]
) -> None:
    """Make the pictures that are not in ``folder`` yet. settings: what they are made with besides, for ``generation.json``.

    A picture that a source lost or could not make goes back to the others, up to ``ATTEMPTS`` times. Raises ValueError when the
    folder holds pictures of other settings, GenerationError when some are missing in the end.
    """
    keep_settings(folder / GENERATION, {"benchmark": benchmark.digest, "seed": seed, **settings}, "pictures")
    wanting = missing_pictures(benchmark, folder)
    work, attempts, problems = (
        Worklist(wanting),
        dict.fromkeys((entry.name for entry in wanting), 0),
        dict[str, str](),
    )
    stopped: list[BaseException] = []
    bar = tqdm(
        total=len(benchmark.entries),
        initial=len(benchmark.entries) - len(wanting),
        unit="picture",
        dynamic_ncols=True,
    )

    def paint(entry: Entry, source: Source) -> None:
        picture = source.paint(entry.layout, seed_of(seed, entry.name))
        check_proportions(picture, entry.layout)
        write_whole(picture_path(folder, entry.name), png_bytes(picture))
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
            except PictureError as error:
                give_back(entry, error)
            except SourceLostError as error:
                give_back(entry, error)
                return
            except BaseException as error:  # one that no other source would be spared, as a wrong workflow
                stopped.append(error)
                work.clear()
                work.done()
                return
            else:
                work.done()

    try:
        in_threads([lambda source=source: serve(source) for source in sources])  # type: ignore[misc]
    finally:
        bar.close()
    if stopped:
        raise stopped[0]
    missing = missing_pictures(benchmark, folder)
    if missing:
        reason = problems.get(missing[0].name) or next(iter(problems.values()), "")
        raise GenerationError(
            f"{len(missing)} of {len(benchmark.entries)} pictures are missing, as {missing[0].name}: {reason} "
            "The same command goes on from here."
        )


def missing_pictures(benchmark: Benchmark, folder: Path) -> list[Entry]:
    return [entry for entry in benchmark.entries if not picture_path(folder, entry.name).exists()]


def picture_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.png"


def check_proportions(picture: Image.Image, layout: Layout) -> None:
    """Raises ValueError when the boxes would not fit the picture."""
    given, expected = picture.width / picture.height, layout.width / layout.height
    if abs(given / expected - 1) > ASPECT_TOLERANCE:
        raise ValueError(
            f"The picture has {picture.width} x {picture.height} pixels and its layout {layout.width} x {layout.height}. Link the layout "
            "node's width and height to the empty latent, or name their places with --slot width=NODE.INPUT and --slot height=NODE.INPUT."
        )
