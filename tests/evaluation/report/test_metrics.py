"""Metrics of cases with known results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scenes import instance, picture_score

from evaluation.judge.picture_score import InstanceScore, PictureScore
from evaluation.report.metrics import (
    average_precision,
    feature_success,
    found_share,
    mean,
    share,
    unparsable,
)
from ifadapter_core.checking.matching import Detection, PixelBox

A, B = (0.0, 0.0, 100.0, 100.0), (200.0, 0.0, 300.0, 100.0)


def boxes(
    name: str, wanted: list[tuple[PixelBox, int]], found: list[tuple[PixelBox, float, int]]
) -> PictureScore:
    """wanted: (box, phrase). found: (box, score, phrase)."""
    instances = tuple(InstanceScore(box, str(phrase), phrase, None, 0.0, {}, {}) for box, phrase in wanted)
    return PictureScore(name, "", (400, 400), tuple(Detection(*each) for each in found), instances)


def narrowed(iou: float) -> PixelBox:
    return 0.0, 0.0, 100.0, 100 * iou


def ap(*scores: PictureScore) -> tuple[float, float]:
    precision = average_precision(scores)
    return precision.ap.value, precision.ap50.value


# Average precision, with COCO's 101 recall points


def test_perfect_and_missing_detections() -> None:
    assert ap(boxes("p", [(A, 0), (B, 1)], [(A, 0.9, 0), (B, 0.8, 1)])) == pytest.approx((1, 1))
    assert ap(boxes("p", [(A, 0)], [])) == (0, 0)


def test_iou_072_passes_five_of_ten_thresholds() -> None:
    assert ap(boxes("p", [(A, 0)], [(narrowed(0.72), 0.9, 0)])) == pytest.approx((0.5, 1))


def test_a_false_positive_ranked_between_two_matches() -> None:
    """Precision is 1 up to recall 1/2 (51 points), then 2/3 (50 points).

    Above IoU 0.6 only the first matches.
    """
    first = boxes("p", [(A, 0)], [(A, 0.9, 0), (B, 0.8, 0)])
    second = boxes("q", [(A, 0)], [(narrowed(0.62), 0.7, 0)])
    ap50, above = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert ap(first, second) == pytest.approx(((3 * ap50 + 7 * above) / 10, ap50))


def test_detections_match_boxes_of_their_own_phrase_only() -> None:
    assert ap(boxes("p", [(A, 0), (B, 1)], [(A, 0.9, 1), (B, 0.8, 0)])) == (0, 0)


def test_a_duplicate_detection_is_a_false_positive() -> None:
    """Precisions 1, 1/2, 2/3 in ranked order; their envelope is 1 at 51 points and 2/3 at 50."""
    found = [(A, 0.9, 0), (A, 0.8, 0), (B, 0.7, 0)]
    assert ap(boxes("p", [(A, 0), (B, 0)], found))[1] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_all_detections_are_ranked_together() -> None:
    """A false positive costs more the higher its score, in any picture."""
    right = boxes("p", [(A, 0)], [(A, 0.5, 0)])
    assert ap(boxes("q", [], [(B, 0.9, 0)]), right) == pytest.approx((1 / 2, 1 / 2))
    wrong_first, wrong_last = (boxes("q", [(A, 0)], [(B, score, 0)]) for score in (0.9, 0.1))
    assert ap(right, wrong_first)[1] == pytest.approx(51 / 2 / 101)
    assert ap(right, wrong_last)[1] == pytest.approx(51 / 101)


def random_scores(seed: int, pictures: int = 12) -> list[PictureScore]:
    """Boxes with jittered, missing and spurious detections; some scores are equal."""
    randomness = np.random.default_rng(seed)
    scores = []
    for number in range(pictures):
        corners = randomness.uniform(0, 400, (randomness.integers(0, 5), 2))
        sides = randomness.uniform(40, 200, corners.shape)
        wanted = [
            ((x, y, x + w, y + h), int(randomness.integers(2)))
            for (x, y), (w, h) in zip(corners, sides, strict=True)
        ]
        found: list[tuple[PixelBox, float, int]] = [((0, 0, 90, 90), round(randomness.random(), 1), 0)]
        for (x0, y0, x1, y1), phrase in wanted * 2:
            if randomness.random() < 0.6:
                a, b, c, d = randomness.normal(0, 12, 4)
                found.append(((x0 + a, y0 + b, x1 + c, y1 + d), round(randomness.uniform(0.2, 1), 1), phrase))
        scores.append(boxes(str(number), wanted, found))
    return scores


def by_pycocotools(scores: list[PictureScore]) -> tuple[float, float]:
    """AP and AP50 by pycocotools' usual interface."""

    def entry(picture: int, one: InstanceScore | Detection) -> dict[str, Any]:
        x0, y0, x1, y1 = one.box
        size = (x1 - x0, y1 - y0)
        return {
            "image_id": 2 * picture + one.phrase,
            "category_id": 1,
            "bbox": [x0, y0, *size],
            "area": size[0] * size[1],
            "iscrowd": 0,
        }

    truths = [entry(number, one) for number, score in enumerate(scores) for one in score.instances]
    results = [
        {**entry(number, one), "score": one.score}
        for number, score in enumerate(scores)
        for one in score.detections
    ]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(2 * len(scores))],
        "categories": [{"id": 1}],
        "annotations": [{**one, "id": number} for number, one in enumerate(truths, 1)],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0], evaluation.stats[1]


@pytest.mark.parametrize("seed", range(4))
def test_ap_equals_that_of_pycocotools(seed: int) -> None:
    scores = random_scores(seed)
    assert ap(*scores) == pytest.approx(by_pycocotools(scores), abs=1e-12)
    assert 0.1 < ap(*scores)[0] < ap(*scores)[1] < 0.95


def test_the_interval_of_a_perfect_detector_has_zero_width() -> None:
    scores = [boxes(str(number), [(A, 0), (B, 1)], [(A, 0.9, 0), (B, 0.8, 1)]) for number in range(4)]
    assert average_precision(scores).ap.interval == pytest.approx((1, 1))


def test_the_interval_contains_the_value_and_is_deterministic() -> None:
    scores = [boxes(str(number), [(A, 0)], [(A, 0.9, 0)] if number % 2 else []) for number in range(20)]
    first = average_precision(scores)
    low, high = first.ap50.interval
    assert 0 < low < first.ap50.value < high < 1
    assert first == average_precision(scores)
    assert first.ap50.value == pytest.approx(51 / 101)


# Success


def test_success_is_a_fraction_of_instances() -> None:
    scores = [
        picture_score("p", instance(True), instance(False), instance(None), instance(found=False)),
        picture_score("q", instance()),
    ]
    assert feature_success(scores, "v").value == 2 / 5
    assert found_share(scores).value == 4 / 5
    assert unparsable(scores, "v") == 1


def test_an_unknown_verifier_has_no_success() -> None:
    assert feature_success([picture_score("p", instance())], "w").value == 0
    assert unparsable([picture_score("p", instance())], "w") == 0


def test_intervals_resample_pictures() -> None:
    """Ten equal instances of a picture are no more evidence than one."""
    rng = np.random.Generator(np.random.PCG64(3))
    hits = rng.random(200) < 0.4
    low, high = share(10 * hits, np.full(200, 10)).interval
    value = hits.mean()
    error = 1.96 * np.sqrt(value * (1 - value) / 200)
    assert (low, high) == pytest.approx((value - error, value + error), abs=0.01)
    assert share(hits, np.ones(200)).interval == (low, high) == share(hits, np.ones(200)).interval


def test_pictures_without_instances_are_allowed_unless_all_are() -> None:
    assert share([1, 0], [1, 0]).value == 1
    with pytest.raises(ValueError, match="no instances to score"):
        share([0, 0], [0, 0])
    with pytest.raises(ValueError, match="no instances to score"):
        average_precision([replace(picture_score("p"), detections=())])


def test_mean() -> None:
    assert mean([1.0, 2.0, 6.0]).value == 3
    assert mean([2.0, 2.0]).interval == (2, 2)
