"""The CLIP score of each picture of a benchmark.

One record per picture is cached, so a run can be resumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..benchmark import Benchmark, Entry
from ..files import digest_of, json_bytes, write_atomic
from ..pictures import picture_path, read_picture

RECORDS = "clip"  # folder of the cached records, in the output folder


def score_captions(
    model: str, device: str, benchmark: Benchmark, pictures: Path, output: Path
) -> list[float]:
    """100 cos(picture, caption) of each picture, in the benchmark's order, cached in ``clip/NAME.json``.

    Computes the scores that are missing, of changed pictures, or by another model; loads the model
    only for these.
    """
    origins = [
        {"model": model, "digest": digest_of(picture_path(pictures, entry.name))}
        for entry in benchmark.entries
    ]
    left = [pair for pair in zip(benchmark.entries, origins, strict=True) if not _is_cached(output, *pair)]
    if left:
        from .clip_score import ClipScore

        clip = ClipScore(model, device)
        for entry, origin in tqdm(left, desc="CLIP", unit="picture", dynamic_ncols=True):
            picture = read_picture(picture_path(pictures, entry.name), entry.layout)
            score = clip.score(picture, entry.layout.caption)
            write_atomic(_record_path(output, entry), json_bytes({**origin, "score": score}))
    return [float(_read(output, entry)["score"]) for entry in benchmark.entries]


def copy_caption_scores(source: Path, target: Path, entries: Iterable[Entry]) -> None:
    """Copy cached scores to another output folder; only those of its pictures are then used."""
    for entry in entries:
        record = _record_path(source, entry)
        if record.exists():
            write_atomic(_record_path(target, entry), record.read_bytes())


def _is_cached(output: Path, entry: Entry, origin: dict[str, str]) -> bool:
    return _record_path(output, entry).exists() and origin.items() <= _read(output, entry).items()


def _read(output: Path, entry: Entry) -> dict[str, Any]:
    path = _record_path(output, entry)
    try:
        record = json.loads(path.read_text("utf-8"))
        return {"model": record["model"], "digest": record["digest"], "score": record["score"]}
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error!r}). Remove it; the same command writes it again."
        ) from error


def _record_path(output: Path, entry: Entry) -> Path:
    return output / RECORDS / f"{entry.name}.json"
