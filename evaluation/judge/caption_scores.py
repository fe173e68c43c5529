"""A CLIP score for each picture of a benchmark. A small file for each is kept, so that a run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..benchmark import Benchmark, Entry
from ..files import digest_of, json_bytes, write_whole
from .scorer import picture_path, read_picture

RECORDS = "clip"  # folder of the small files


def score_captions(
    model: str, device: str, benchmark: Benchmark, pictures: Path, output: Path
) -> list[float]:
    """100 cos(picture, caption) of each picture, in the benchmark's order, out of ``clip/NAME.json`` under ``output``.

    Those that have no file by this model, or were changed since, are computed; the model is loaded for these only.
    """
    origins = [
        {"model": model, "digest": digest_of(picture_path(pictures, entry))} for entry in benchmark.entries
    ]
    left = [pair for pair in zip(benchmark.entries, origins, strict=True) if not _is_kept(output, *pair)]
    if left:
        from .clip_score import ClipScore

        clip = ClipScore(model, device)
        for entry, origin in tqdm(left, desc="CLIP", unit="picture", dynamic_ncols=True):
            score = clip.score(
                read_picture(picture_path(pictures, entry), entry.layout), entry.layout.caption
            )
            write_whole(_record(output, entry), json_bytes({**origin, "score": score}))
    return [float(_read(output, entry)["score"]) for entry in benchmark.entries]


def _is_kept(output: Path, entry: Entry, origin: dict[str, str]) -> bool:
    return _record(output, entry).exists() and origin.items() <= _read(output, entry).items()


def _read(output: Path, entry: Entry) -> dict[str, Any]:
    path = _record(output, entry)
    try:
        record = json.loads(path.read_text("utf-8"))
        return {"model": record["model"], "digest": record["digest"], "score": record["score"]}
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error!r}). Remove it; the same command makes it again."
        ) from error


def _record(output: Path, entry: Entry) -> Path:
    return output / RECORDS / f"{entry.name}.json"
