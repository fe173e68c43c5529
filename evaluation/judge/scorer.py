"""Judges the pictures of a benchmark: detect, match, crop, ask. A small file for each picture is kept, so that a run goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from ifadapter_core.layout import Layout

from ..benchmark import Benchmark, Entry
from ..files import digest_of, json_bytes, write_whole
from .detector import Detector, PixelBox
from .matching import Wanted, match
from .picture_score import InstanceScore, PictureScore, from_json, to_json
from .verifier import Verdict, Verifier

RECORDS = "pictures"  # folder of the small files
ASPECT_TOLERANCE = 0.05  # samplers round sides to multiples of some pixels
NAMED = 3  # missing pictures in a message


class Scorer:
    """A detector and the verifiers that judge what it finds."""

    def __init__(self, detector: Detector, verifiers: Sequence[Verifier]) -> None:
        check_names([verifier.name for verifier in verifiers])
        self.detector = detector
        self.verifiers = tuple(verifiers)

    def score(self, name: str, picture: Image.Image, layout: Layout, digest: str = "") -> PictureScore:
        """The detector is asked once, for every description once; the layout's boxes are not shown to it."""
        phrases = list(dict.fromkeys(layout.local_descriptions))
        wanted = [
            Wanted(pixel_box(instance.box, picture.size), phrases.index(instance.local_description))
            for instance in layout.instances
        ]
        detections = self.detector.detect(picture, phrases) if phrases else []
        instances = []
        for each, served in zip(wanted, match(detections, wanted), strict=True):
            description = phrases[each.phrase]
            verdicts: dict[str, Verdict] = {}
            if served is not None:
                crop = picture.crop(crop_corners(detections[served.detection].box, picture.size))
                verdicts = {verifier.name: verifier.verify(crop, description) for verifier in self.verifiers}
            number, iou = (None, 0.0) if served is None else (served.detection, served.iou)
            fits = {name: verdict.fits for name, verdict in verdicts.items()}
            answers = {name: verdict.answer for name, verdict in verdicts.items() if verdict.answer}
            instances.append(InstanceScore(each.box, description, each.phrase, number, iou, fits, answers))
        return PictureScore(name, digest, picture.size, tuple(detections), tuple(instances))


def check_names(verifiers: Sequence[str]) -> None:
    """Raises ValueError when two have the same, or there are none."""
    if not verifiers or len(set(verifiers)) < len(verifiers):
        raise ValueError(
            f"The verifiers are {', '.join(verifiers) or 'none'}; expected at least one, each of another name."
        )


def pixel_box(box: Sequence[float], size: tuple[int, int]) -> PixelBox:
    """A box of fractions of the canvas in pixels of a picture of this width and height."""
    x0, y0, x1, y1 = (value * side for value, side in zip(box, (*size, *size), strict=True))
    return x0, y0, x1, y1


def crop_corners(box: PixelBox, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The whole pixels that a box touches, inside of the picture and at least one."""
    width, height = size
    x0, y0 = min(max(math.floor(box[0]), 0), width - 1), min(max(math.floor(box[1]), 0), height - 1)
    return x0, y0, max(min(math.ceil(box[2]), width), x0 + 1), max(min(math.ceil(box[3]), height), y0 + 1)


def check_pictures(benchmark: Benchmark, pictures: Path) -> None:
    """Raises ValueError when the folder lacks some."""
    missing = [
        f"{entry.name}.png" for entry in benchmark.entries if not picture_path(pictures, entry).is_file()
    ]
    if missing:
        first = ", ".join(missing[:NAMED]) + (" .." if len(missing) > NAMED else "")
        raise ValueError(
            f"{len(missing)} of {len(benchmark.entries)} pictures are not in {pictures}: {first}. Make them with "
            "`python -m evaluation generate`, or give the folder that has NAME.png for each layout."
        )


def score_pictures(
    scorer: Scorer,
    benchmark: Benchmark,
    pictures: Path,
    output: Path,
    part: tuple[int, int] = (0, 1),
    bar: bool = True,
) -> None:
    """Write ``pictures/NAME.json`` under ``output`` for each picture that has none, or that was changed since.

    part: (k, n) takes every n-th picture from the k-th on, for n processes side by side.
    """
    left = unjudged(benchmark, pictures, output, part)
    total = len(benchmark.entries[part[0] :: part[1]])
    for entry in tqdm(
        left, initial=total - len(left), total=total, unit="picture", disable=not bar, dynamic_ncols=True
    ):
        path = picture_path(pictures, entry)
        score = scorer.score(entry.name, read_picture(path, entry.layout), entry.layout, digest_of(path))
        write_whole(record_path(output, entry.name), json_bytes(to_json(score)))


def unjudged(
    benchmark: Benchmark, pictures: Path, output: Path, part: tuple[int, int] = (0, 1)
) -> list[Entry]:
    """What ``score_pictures`` would judge."""
    first, step = part
    entries = benchmark.entries[first::step]
    return [
        entry
        for entry in entries
        if kept_score(output, entry.name, digest_of(picture_path(pictures, entry))) is None
    ]


def read_scores(benchmark: Benchmark, output: Path) -> list[PictureScore]:
    """What ``score_pictures`` wrote, in the benchmark's order."""
    return [from_json(record_path(output, entry.name).read_text("utf-8")) for entry in benchmark.entries]


def lend_records(output: Path, other: Path, entries: Iterable[Entry]) -> None:
    """What is known of these pictures under ``output`` is known under ``other`` too, for another table of the same scorer."""
    for entry in entries:
        known = record_path(output, entry.name)
        if known.exists():
            write_whole(record_path(other, entry.name), known.read_bytes())


def kept_score(output: Path, name: str, digest: str) -> PictureScore | None:
    """What is known of a picture, if it is still this one."""
    path = record_path(output, name)
    if not path.exists():
        return None
    try:
        score = from_json(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Remove it; the same command makes it again."
        ) from error
    return score if score.digest == digest else None


def picture_path(pictures: Path, entry: Entry) -> Path:
    return pictures / f"{entry.name}.png"


def record_path(output: Path, name: str) -> Path:
    return output / RECORDS / f"{name}.json"


def read_picture(path: Path, layout: Layout) -> Image.Image:
    """RGB. Raises ValueError when it is no picture or has other proportions than the layout's canvas."""
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read ({error}). Make it again.") from error
    if abs(math.log(picture.width / picture.height * layout.height / layout.width)) > ASPECT_TOLERANCE:
        raise ValueError(
            f"{path} is {picture.width} x {picture.height} pixels; its layout is {layout.width} x {layout.height}. Give pictures of the "
            "layouts' proportions."
        )
    return picture
