"""The scores of a picture set as JSON, as a table like the paper's Table 1, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ifadapter_core.checking.matching import PixelBox

from ..judge.picture_score import InstanceScore, PictureScore
from .metrics import Estimate, average_precision, feature_success, found_share, unparsable

SCORES = "scores.json"
PAPER = "arXiv 2409.08240"
PAPER_VERIFIERS = ("QwenVL", "InternVL", "CogVL")
# Table 1 of the paper: IFS by each of PAPER_VERIFIERS, AP, CLIP, FID.
PUBLISHED: dict[str, tuple[float | None, ...]] = {
    "real images": (92.8, 82.2, 69.9, 75.3, None, None),
    "InstanceDiffusion": (69.6, 49.7, 38.2, 43.1, 23.3, 26.8),
    "GLIGEN": (44.8, 25.8, 17.5, 18.4, 23.5, 29.7),
    "MIGC": (62.8, 40.7, 27.5, 32.5, 22.9, 26.0),
    "MultiDiffusion": (58.1, 47.0, 34.2, 36.9, 22.8, 28.3),
    "DenseDiffusion": (38.7, 26.0, 19.7, 22.2, 20.1, 29.9),
    "IFAdapter": (79.7, 68.6, 61.0, 49.0, 25.1, 22.0),
    "IFAdapter, EoT only": (69.6, 63.9, 53.5, 45.9, 24.1, 27.2),
    "IFAdapter, appearance tokens only": (29.9, 16.2, 12.0, 12.3, 24.3, 44.7),
}
VERDICT_WORDS = {True: "yes", False: "no", None: "unparsable"}


@dataclass(frozen=True)
class PictureSetScores:
    """Optional metrics of the whole picture set.

    clip: mean CLIP score, or None.
    clip_model: hub id or folder of the CLIP model, or None.
    fid: Frechet Inception distance, or None.
    real_count: number of real pictures that the FID compares with, or None.
    """

    clip: Estimate | None = None
    clip_model: str | None = None
    fid: float | None = None
    real_count: int | None = None


def summarize(
    name: str,
    settings: dict[str, Any],
    scores: Sequence[PictureScore],
    verifiers: Sequence[str],
    whole_set: PictureSetScores,
) -> dict[str, Any]:
    """The content of ``scores.json``; fractions are 0..1, and ``success`` is the IFS of the first verifier.

    name: of the picture set, its row in tables.
    settings: the content of ``scoring.json``.
    verifiers: their names.
    """
    success = {verifier: feature_success(scores, verifier) for verifier in verifiers}
    precision = average_precision(scores)
    summary: dict[str, Any] = {
        "name": name,
        **settings,
        "pictures": len(scores),
        "instances": sum(len(score.instances) for score in scores),
        "success": success[verifiers[0]].value,
        "interval": list(success[verifiers[0]].interval),
        "ifs": {
            verifier: {**_numbers(success[verifier]), "unparsable": unparsable(scores, verifier)}
            for verifier in verifiers
        },
        "found": _numbers(found_share(scores)),
        "ap": _numbers(precision.ap),
        "ap50": _numbers(precision.ap50),
    }
    if whole_set.clip is not None:
        summary["clip"] = {**_numbers(whole_set.clip), "model": whole_set.clip_model}
    if whole_set.fid is not None:
        summary["fid"] = {"value": whole_set.fid, "real_pictures": whole_set.real_count}
    return summary


def table(summaries: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per summary, the published rows, and notes on the sources.

    Fractions in percent, as in the paper.

    summaries: at least one, from ``summarize``, all with the same settings.
    """
    verifiers = list(summaries[0]["ifs"])
    titles = ["method"]
    titles += [
        f"IFS {verifier}" for verifier in (*verifiers, *(f"{name} (published)" for name in PAPER_VERIFIERS))
    ]
    titles += ["AP", "CLIP", "FID", "found", "AP50"]
    rows = [_row(summary, verifiers) for summary in summaries]
    for name, values in PUBLISHED.items():
        numbers = ["-" if value is None else f"{value:.1f}" for value in values]
        rows.append([f"{name} (published)", *["-"] * len(verifiers), *numbers, "-", "-"])
    lines = [titles, ["---"] * len(titles), *rows]
    body = "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)
    return f"{body}\n\n{_notes(summaries)}"


def _row(summary: dict[str, Any], verifiers: Sequence[str]) -> list[str]:
    success = [_percent(summary["ifs"][verifier]) for verifier in verifiers]
    whole = [_percent(summary["ap"]), _plain(summary.get("clip")), _plain(summary.get("fid"))]
    return [
        summary["name"],
        *success,
        *["-"] * len(PAPER_VERIFIERS),
        *whole,
        _percent(summary["found"]),
        _percent(summary["ap50"]),
    ]


def instances_csv(scores: Sequence[PictureScore], verifiers: Sequence[str]) -> str:
    """CSV with a row per instance; boxes are x0 y0 x1 y1 in pixels of the picture."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "picture",
            "number",
            "description",
            "box",
            "found",
            "detection",
            "iou",
            "score",
            *verifiers,
        ]
    )
    for score in scores:
        for number, instance in enumerate(score.instances, 1):
            writer.writerow(
                [
                    score.name,
                    number,
                    instance.description,
                    _box(instance.box),
                    *_detection_cells(score, instance),
                ]
                + [
                    VERDICT_WORDS[instance.verdicts[verifier]] if verifier in instance.verdicts else ""
                    for verifier in verifiers
                ]
            )
    return out.getvalue()


def _notes(summaries: Sequence[dict[str, Any]]) -> str:
    first = summaries[0]
    lines = [
        f"- {first['pictures']} pictures, {first['instances']} instances; "
        f"benchmark {first['benchmark'][:12]}; detector {first['detector']}. "
        "In brackets: 95 % bootstrap interval over pictures.",
        *_answers(summaries),
        f"- Published: {PAPER}, Table 1, with other layouts, detector and verifiers; "
        "docs/evaluation.md says what can be compared.",
        *(f"- CLIP score by {model}." for model in _each(summaries, "clip", "model")),
        *(f"- FID to {count} real pictures." for count in _each(summaries, "fid", "real_pictures")),
    ]
    return "\n".join(lines) + "\n"


def _answers(summaries: Sequence[dict[str, Any]]) -> Iterator[str]:
    for verifier in summaries[0]["ifs"]:
        count = sum(summary["ifs"][verifier]["unparsable"] for summary in summaries)
        yield f"- {verifier}: {count} answers were neither yes nor no; they do not count as success."


def _each(summaries: Sequence[dict[str, Any]], column: str, key: str) -> list[Any]:
    """The distinct values of a key, over the summaries that have the column."""
    return list(dict.fromkeys(summary[column][key] for summary in summaries if column in summary))


def _detection_cells(score: PictureScore, instance: InstanceScore) -> list[str]:
    if instance.detection is None:
        return ["no", "", "", ""]
    detection = score.detections[instance.detection]
    return ["yes", _box(detection.box), f"{instance.iou:.4f}", f"{detection.score:.4f}"]


def _box(box: PixelBox) -> str:
    return " ".join(f"{edge:.1f}" for edge in box)


def _numbers(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "interval": list(estimate.interval)}


def _percent(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{100 * row['value']:.1f} ({100 * low:.1f} .. {100 * high:.1f})"


def _plain(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    interval = " ({:.1f} .. {:.1f})".format(*row["interval"]) if "interval" in row else ""
    return f"{row['value']:.1f}{interval}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
