"""Judges pictures: detect, match, crop, verify.

One record per picture is cached, so a run can be resumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from ifadapter_core.checking.matching import Detection, Match, PixelBox, Wanted, match, pixel_box
from ifadapter_core.layout import Layout

from ..benchmark import Benchmark, Entry
from ..files import digest_of, json_bytes, write_atomic
from ..pictures import picture_path, read_picture
from .detector import Detector
from .picture_score import InstanceScore, PictureScore, from_json, to_json
from .verifier import Verdict, Verifier

RECORDS = "pictures"  # folder of the cached records, in the output folder


class Scorer:
    """A detector, and the verifiers that judge its detections."""

    def __init__(self, detector: Detector, verifiers: Sequence[Verifier]) -> None:
        check_names([verifier.name for verifier in verifiers])
        self.detector = detector
        self.verifiers = tuple(verifiers)

    def score(self, name: str, picture: Image.Image, layout: Layout, digest: str = "") -> PictureScore:
        """Judge one picture. The detector sees the descriptions, but not the layout's boxes.

        name: the layout's name. digest: SHA-256 of the picture's file.
        """
        # Equal descriptions are one phrase, so that the detector is asked for each only once.
        phrases = list(dict.fromkeys(layout.local_descriptions))
        wanted = [
            Wanted(pixel_box(instance.box, picture.size), phrases.index(instance.local_description))
            for instance in layout.instances
        ]

        # Detect, and assign at most one detection to each box.
        detections = self.detector.detect(picture, phrases) if phrases else []
        matches = match(detections, wanted)

        # Crop the detected box, not the layout's, and ask every verifier.
        instances = tuple(
            self._judge(picture, phrases[each.phrase], each, found, detections)
            for each, found in zip(wanted, matches, strict=True)
        )
        return PictureScore(name, digest, picture.size, tuple(detections), instances)

    def _judge(
        self,
        picture: Image.Image,
        description: str,
        wanted: Wanted,
        found: Match | None,
        detections: Sequence[Detection],
    ) -> InstanceScore:
        if found is None:
            return InstanceScore(wanted.box, description, wanted.phrase, None, 0.0, {}, {})
        crop = picture.crop(crop_corners(detections[found.detection].box, picture.size))
        verdicts: dict[str, Verdict] = {
            verifier.name: verifier.verify(crop, description) for verifier in self.verifiers
        }
        fits = {name: verdict.fits for name, verdict in verdicts.items()}
        answers = {name: verdict.answer for name, verdict in verdicts.items() if verdict.answer}
        return InstanceScore(
            wanted.box, description, wanted.phrase, found.detection, found.iou, fits, answers
        )


def check_names(verifiers: Sequence[str]) -> None:
    """Raises ValueError if there are no verifiers, or two with the same name."""
    if not verifiers or len(set(verifiers)) < len(verifiers):
        raise ValueError(
            f"The verifiers are {', '.join(verifiers) or 'none'}; expected at least one, "
            "all with different names."
        )


def crop_corners(box: PixelBox, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Round a box outwards to whole pixels, clipped to the picture, with at least one pixel."""
    width, height = size
    x0, y0 = min(max(math.floor(box[0]), 0), width - 1), min(max(math.floor(box[1]), 0), height - 1)
    x1, y1 = min(math.ceil(box[2]), width), min(math.ceil(box[3]), height)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def score_pictures(
    scorer: Scorer,
    benchmark: Benchmark,
    pictures: Path,
    output: Path,
    part: tuple[int, int] = (0, 1),
    bar: bool = True,
) -> None:
    """Write ``pictures/NAME.json`` under ``output`` for each picture that is new or has changed.

    part: (k, n) takes every n-th picture, starting with the k-th, for n parallel processes.
    bar: show a progress bar.
    """
    left = unjudged(benchmark, pictures, output, part)
    total = len(benchmark.entries[part[0] :: part[1]])
    for entry in tqdm(
        left,
        initial=total - len(left),
        total=total,
        unit="picture",
        disable=not bar,
        dynamic_ncols=True,
    ):
        path = picture_path(pictures, entry.name)
        score = scorer.score(entry.name, read_picture(path, entry.layout), entry.layout, digest_of(path))
        write_atomic(record_path(output, entry.name), json_bytes(to_json(score)))


def unjudged(
    benchmark: Benchmark, pictures: Path, output: Path, part: tuple[int, int] = (0, 1)
) -> list[Entry]:
    """The entries without a valid cached record, which ``score_pictures`` would judge."""
    first, step = part
    return [
        entry
        for entry in benchmark.entries[first::step]
        if cached_score(output, entry.name, digest_of(picture_path(pictures, entry.name))) is None
    ]


def read_scores(benchmark: Benchmark, output: Path) -> list[PictureScore]:
    """All cached scores, in the benchmark's order."""
    return [from_json(record_path(output, entry.name).read_text("utf-8")) for entry in benchmark.entries]


def copy_records(source: Path, target: Path, entries: Iterable[Entry]) -> None:
    """Copy cached records to another output folder, which must have the same scorer settings."""
    for entry in entries:
        record = record_path(source, entry.name)
        if record.exists():
            write_atomic(record_path(target, entry.name), record.read_bytes())


def cached_score(output: Path, name: str, digest: str) -> PictureScore | None:
    """The cached score of a picture, or None if there is none or the picture changed.

    digest: SHA-256 of the picture's file. Raises ValueError if the record cannot be read.
    """
    path = record_path(output, name)
    if not path.exists():
        return None
    try:
        score = from_json(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Remove it; the same command writes it again."
        ) from error
    return score if score.digest == digest else None


def record_path(output: Path, name: str) -> Path:
    """The cached record of a picture; name: the layout's name."""
    return output / RECORDS / f"{name}.json"
