"""The scorer: instance feature success of hand-made scenes and of drawings, and cached records."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from scenes import WORLD, ScriptedDetector, ScriptedVerifier, layout, write_drawings

from evaluation.benchmark import Benchmark, write_benchmark
from evaluation.build.builder import build_drawn
from evaluation.files import json_bytes
from evaluation.judge.drawn_world import ShapesDetector, ShapesVerifier
from evaluation.judge.picture_score import from_json, to_json
from evaluation.judge.scorer import (
    Scorer,
    copy_records,
    crop_corners,
    read_scores,
    record_path,
    score_pictures,
)
from evaluation.judge.verifier import Verdict
from evaluation.report.metrics import feature_success, found_share
from shapes.drawing import draw
from shapes.scene import Attributes, Figure, Scene

PICTURE = Image.new("RGB", (100, 100))
LEFT, RIGHT = (0.0, 0.0, 40.0, 100.0), (60.0, 0.0, 100.0, 100.0)
YES = ScriptedVerifier(cat=True, dog=True)


def test_equal_descriptions_are_detected_once() -> None:
    detector = ScriptedDetector()
    Scorer(detector, [YES]).score("p", PICTURE, layout((LEFT, "cat"), (RIGHT, "cat"), ((0, 0, 9, 9), "dog")))
    assert detector.asked == [["cat", "dog"]]


def test_a_missing_instance_is_not_verified() -> None:
    verifier = ScriptedVerifier(cat=True, dog=True)
    score = Scorer(ScriptedDetector((LEFT, 0.9, "cat")), [verifier]).score(
        "p", PICTURE, layout((LEFT, "cat"), (RIGHT, "dog"))
    )
    assert [instance.found for instance in score.instances] == [True, False]
    assert score.instances[1].verdicts == {}
    assert verifier.crops == [(40, 100)]
    assert feature_success([score], "scripted").value == 0.5


@pytest.mark.parametrize(("shift", "success"), [(0.49, 0.0), (0.51, 1.0)])
def test_a_displaced_instance_fails(shift: float, success: float) -> None:
    offset = (1 - shift) / (1 + shift) * 40
    found = (offset, 0.0, 40 + offset, 100.0)
    score = Scorer(ScriptedDetector((found, 0.9, "cat")), [YES]).score("p", PICTURE, layout((LEFT, "cat")))
    assert feature_success([score], "scripted").value == success


def test_swapped_instances_both_fail() -> None:
    found = ScriptedDetector((LEFT, 0.9, "dog"), (RIGHT, 0.9, "cat"))
    score = Scorer(found, [YES]).score("p", PICTURE, layout((LEFT, "cat"), (RIGHT, "dog")))
    assert feature_success([score], "scripted").value == 0
    assert found_share([score]).value == 0


def test_duplicate_detections_are_harmless() -> None:
    found = ScriptedDetector((LEFT, 0.9, "cat"), (LEFT, 0.8, "cat"), ((1.0, 0.0, 41.0, 100.0), 0.7, "cat"))
    score = Scorer(found, [YES]).score("p", PICTURE, layout((LEFT, "cat")))
    assert feature_success([score], "scripted").value == 1
    assert len(score.detections) == 3


def test_one_detection_in_two_boxes_is_one_success() -> None:
    wanted = layout((LEFT, "cat"), ((5.0, 0.0, 45.0, 100.0), "cat"))
    score = Scorer(ScriptedDetector((LEFT, 0.9, "cat")), [YES]).score("p", PICTURE, wanted)
    assert feature_success([score], "scripted").value == 0.5


def test_every_verifier_is_asked_and_no_verdict_is_no_success() -> None:
    strict, unsure = ScriptedVerifier("strict", cat=False), ScriptedVerifier("unsure", cat=None)
    score = Scorer(
        ScriptedDetector((LEFT, 0.9, "cat")), [strict, ScriptedVerifier("kind", cat=True), unsure]
    ).score("p", PICTURE, layout((LEFT, "cat")))
    assert score.instances[0].verdicts == {"strict": False, "kind": True, "unsure": None}
    assert [feature_success([score], name).value for name in ("strict", "kind", "unsure")] == [
        0,
        1,
        0,
    ]


@pytest.mark.parametrize("verifiers", [[], [ScriptedVerifier(), ScriptedVerifier()]], ids=["none", "twice"])
def test_verifiers_need_different_names(verifiers: list[ScriptedVerifier]) -> None:
    with pytest.raises(ValueError, match="expected at least one, all with different names"):
        Scorer(ScriptedDetector(), verifiers)


def test_boxes_are_scaled_to_the_picture() -> None:
    """A layout of 100 pixels, a picture of 50."""
    verifier = ScriptedVerifier(cat=True)
    score = Scorer(ScriptedDetector(((0.0, 0.0, 20.0, 50.0), 0.9, "cat")), [verifier]).score(
        "p", Image.new("RGB", (50, 50)), layout((LEFT, "cat"))
    )
    assert score.instances[0].box == (0, 0, 20, 50)
    assert score.instances[0].iou == 1
    assert verifier.crops == [(20, 50)]


def test_crops_are_inside_the_picture_and_not_empty() -> None:
    assert crop_corners((-5.5, 3.2, 20.1, 200), (100, 50)) == (0, 3, 21, 50)
    assert crop_corners((120, 70, 130, 80), (100, 50)) == (99, 49, 100, 50)


def test_a_layout_without_instances_needs_no_detection() -> None:
    detector = ScriptedDetector()
    assert Scorer(detector, [YES]).score("p", PICTURE, layout()).instances == ()
    assert not detector.asked


def test_scores_survive_a_json_round_trip() -> None:
    found = ScriptedDetector(((0.1, 0.0, 40.3, 100.0), 0.123456789, "cat"))
    score = Scorer(found, [ScriptedVerifier(cat=None, dog=True)]).score(
        "p", PICTURE, layout((LEFT, "cat"), (RIGHT, "dog")), "abc"
    )
    assert from_json(json_bytes(to_json(score)).decode()) == score


# Drawings


def test_real_drawings_succeed_and_altered_ones_do_not(tmp_path: Path) -> None:
    """Whole folders, judged by the programs for the drawn world."""
    count = 8
    benchmark = build_drawn(tmp_path / "shapes", WORLD, count)
    success = {}
    for part in (0.0, 1.0):
        pictures = write_drawings(tmp_path / f"pictures{part}", count, part)
        score_pictures(
            Scorer(ShapesDetector(), [ShapesVerifier()]),
            benchmark,
            pictures,
            tmp_path / f"scores{part}",
            bar=False,
        )
        success[part] = feature_success(read_scores(benchmark, tmp_path / f"scores{part}"), "shapes").value
    assert success[0.0] > 0.9
    assert success[1.0] == 0


@pytest.mark.parametrize(
    ("description", "verdict"),
    [
        ("a red circle", True),
        ("a red square", False),
        ("a blue circle", False),
        ("a red circle with white dots", False),
        ("a cat", None),
    ],
)
def test_the_shapes_verifier_checks_every_attribute(description: str, verdict: bool | None) -> None:
    drawn = Scene(64, "grey", (Figure(Attributes("circle", "red"), (10, 12, 50, 52)),))
    assert ShapesVerifier().verify(
        Image.fromarray(draw(drawn)).crop((10, 12, 50, 52)), description
    ) == Verdict(verdict)


def test_the_shapes_detector_matches_phrases_with_the_same_shape() -> None:
    drawn = Scene(64, "grey", (Figure(Attributes("circle", "red"), (10, 12, 50, 52)),))
    found = ShapesDetector().detect(
        Image.fromarray(draw(drawn)), ["a blue circle", "a red circle", "a red square"]
    )
    scores = {detection.phrase: detection.score for detection in found}
    assert scores.keys() == {0, 1}
    assert scores[1] > scores[0]


def test_the_shapes_detector_refuses_other_descriptions() -> None:
    with pytest.raises(ValueError, match="'a grey cat' is not a figure of the drawn world"):
        ShapesDetector().detect(PICTURE, ["a grey cat"])


# Folders


@pytest.fixture
def cats(tmp_path: Path) -> Benchmark:
    """A benchmark of five layouts, and their pictures in ``pictures``."""
    (tmp_path / "pictures").mkdir()
    for number in range(5):
        Image.new("RGB", (100, 100), (number, 0, 0)).save(tmp_path / "pictures" / f"p{number}.png")
    return write_benchmark(
        tmp_path / "benchmark", {f"p{number}": layout((LEFT, "cat")) for number in range(5)}, {}
    )


def test_parts_give_the_same_scores_as_one_run(cats: Benchmark, tmp_path: Path) -> None:
    scorer = Scorer(ScriptedDetector((LEFT, 0.9, "cat")), [YES])
    for number in range(3):
        score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "parts", (number, 3), bar=False)
    score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "whole", bar=False)
    assert read_scores(cats, tmp_path / "parts") == read_scores(cats, tmp_path / "whole")


def test_only_new_and_changed_pictures_are_judged(cats: Benchmark, tmp_path: Path) -> None:
    detector = ScriptedDetector((LEFT, 0.9, "cat"))
    scorer = Scorer(detector, [YES])
    score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "out", bar=False)
    assert len(detector.asked) == 5
    Image.new("RGB", (100, 100), (9, 9, 9)).save(tmp_path / "pictures" / "p1.png")
    record_path(tmp_path / "out", "p3").unlink()
    score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "out", bar=False)
    assert len(detector.asked) == 7


def test_copied_records_are_not_judged_again(cats: Benchmark, tmp_path: Path) -> None:
    detector = ScriptedDetector((LEFT, 0.9, "cat"))
    scorer = Scorer(detector, [YES])
    score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "out", bar=False)
    part = write_benchmark(tmp_path / "part", {entry.name: entry.layout for entry in cats.entries[1:3]}, {})
    copy_records(tmp_path / "out", tmp_path / "other", part.entries)
    score_pictures(scorer, part, tmp_path / "pictures", tmp_path / "other", bar=False)
    assert len(detector.asked) == 5
    assert read_scores(part, tmp_path / "other") == read_scores(cats, tmp_path / "out")[1:3]


def test_an_invalid_record_is_an_error(cats: Benchmark, tmp_path: Path) -> None:
    path = record_path(tmp_path / "out", "p0")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"p0.json cannot be read .* Remove it"):
        score_pictures(
            Scorer(ScriptedDetector(), [YES]),
            cats,
            tmp_path / "pictures",
            tmp_path / "out",
            bar=False,
        )
