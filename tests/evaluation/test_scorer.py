"""Instance feature success of scenes that are made by hand, and of drawings."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from scenes import WORLD, Answers, Told, layout, write_drawings

from evaluation.benchmark import Benchmark, write_benchmark
from evaluation.build.builder import build_drawn
from evaluation.files import json_bytes
from evaluation.judge.drawn_world import ShapesDetector, ShapesVerifier
from evaluation.judge.picture_score import from_json, to_json
from evaluation.judge.scorer import (
    Scorer,
    check_pictures,
    crop_corners,
    lend_records,
    read_picture,
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
YES = Answers(cat=True, dog=True)


def test_every_description_is_asked_for_once() -> None:
    detector = Told()
    Scorer(detector, [YES]).score("p", PICTURE, layout((LEFT, "cat"), (RIGHT, "cat"), ((0, 0, 9, 9), "dog")))
    assert detector.asked == [["cat", "dog"]]


def test_what_is_missing_is_not_judged() -> None:
    verifier = Answers(cat=True, dog=True)
    score = Scorer(Told((LEFT, 0.9, "cat")), [verifier]).score(
        "p", PICTURE, layout((LEFT, "cat"), (RIGHT, "dog"))
    )
    assert [instance.found for instance in score.instances] == [True, False]
    assert score.instances[1].verdicts == {}
    assert verifier.crops == [(40, 100)]
    assert feature_success([score], "answers").value == 0.5


@pytest.mark.parametrize(("shift", "success"), [(0.49, 0.0), (0.51, 1.0)])
def test_an_instance_beside_its_box_fails(shift: float, success: float) -> None:
    offset = (1 - shift) / (1 + shift) * 40
    found = (offset, 0.0, 40 + offset, 100.0)
    score = Scorer(Told((found, 0.9, "cat")), [YES]).score("p", PICTURE, layout((LEFT, "cat")))
    assert feature_success([score], "answers").value == success


def test_swapped_descriptions_fail_both() -> None:
    found = Told((LEFT, 0.9, "dog"), (RIGHT, 0.9, "cat"))
    score = Scorer(found, [YES]).score("p", PICTURE, layout((LEFT, "cat"), (RIGHT, "dog")))
    assert feature_success([score], "answers").value == 0
    assert found_share([score]).value == 0


def test_duplicates_do_not_hurt() -> None:
    found = Told((LEFT, 0.9, "cat"), (LEFT, 0.8, "cat"), ((1.0, 0.0, 41.0, 100.0), 0.7, "cat"))
    score = Scorer(found, [YES]).score("p", PICTURE, layout((LEFT, "cat")))
    assert feature_success([score], "answers").value == 1
    assert len(score.detections) == 3


def test_one_detection_for_two_boxes_is_one_success() -> None:
    wanted = layout((LEFT, "cat"), ((5.0, 0.0, 45.0, 100.0), "cat"))
    score = Scorer(Told((LEFT, 0.9, "cat")), [YES]).score("p", PICTURE, wanted)
    assert feature_success([score], "answers").value == 0.5


def test_all_verifiers_are_asked_and_an_answer_that_tells_nothing_is_no_success() -> None:
    strict, unsure = Answers("strict", cat=False), Answers("unsure", cat=None)
    score = Scorer(Told((LEFT, 0.9, "cat")), [strict, Answers("kind", cat=True), unsure]).score(
        "p", PICTURE, layout((LEFT, "cat"))
    )
    assert score.instances[0].verdicts == {"strict": False, "kind": True, "unsure": None}
    assert [feature_success([score], name).value for name in ("strict", "kind", "unsure")] == [0, 1, 0]


@pytest.mark.parametrize("verifiers", [[], [Answers(), Answers()]], ids=["none", "twice"])
def test_verifiers_need_names(verifiers: list[Answers]) -> None:
    with pytest.raises(ValueError, match="expected at least one, each of another name"):
        Scorer(Told(), verifiers)


def test_boxes_are_scaled_to_the_picture() -> None:
    """A benchmark for 100 pixels, pictures of 50."""
    verifier = Answers(cat=True)
    score = Scorer(Told(((0.0, 0.0, 20.0, 50.0), 0.9, "cat")), [verifier]).score(
        "p", Image.new("RGB", (50, 50)), layout((LEFT, "cat"))
    )
    assert score.instances[0].box == (0, 0, 20, 50)
    assert score.instances[0].iou == 1
    assert verifier.crops == [(20, 50)]


def test_crops_stay_in_the_picture_and_have_pixels() -> None:
    assert crop_corners((-5.5, 3.2, 20.1, 200), (100, 50)) == (0, 3, 21, 50)
    assert crop_corners((120, 70, 130, 80), (100, 50)) == (99, 49, 100, 50)


def test_a_layout_without_instances_asks_nobody() -> None:
    detector = Told()
    assert Scorer(detector, [YES]).score("p", PICTURE, layout()).instances == ()
    assert not detector.asked


def test_scores_go_through_their_files_unchanged() -> None:
    found = Told(((0.1, 0.0, 40.3, 100.0), 0.123456789, "cat"))
    score = Scorer(found, [Answers(cat=None, dog=True)]).score(
        "p", PICTURE, layout((LEFT, "cat"), (RIGHT, "dog")), "abc"
    )
    assert from_json(json_bytes(to_json(score)).decode()) == score


# Drawings


def test_real_drawings_succeed_and_altered_ones_do_not(tmp_path: Path) -> None:
    """By the programs in place of the models, on whole folders."""
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
def test_the_verifier_of_shapes_looks_at_everything(description: str, verdict: bool | None) -> None:
    drawn = Scene(64, "grey", (Figure(Attributes("circle", "red"), (10, 12, 50, 52)),))
    assert ShapesVerifier().verify(
        Image.fromarray(draw(drawn)).crop((10, 12, 50, 52)), description
    ) == Verdict(verdict)


def test_the_detector_of_shapes_answers_what_names_the_shape() -> None:
    drawn = Scene(64, "grey", (Figure(Attributes("circle", "red"), (10, 12, 50, 52)),))
    found = ShapesDetector().detect(
        Image.fromarray(draw(drawn)), ["a blue circle", "a red circle", "a red square"]
    )
    scores = {detection.phrase: detection.score for detection in found}
    assert scores.keys() == {0, 1}
    assert scores[1] > scores[0]


def test_the_detector_of_shapes_refuses_other_worlds() -> None:
    with pytest.raises(ValueError, match="'a grey cat' names no figure of the drawn world"):
        ShapesDetector().detect(PICTURE, ["a grey cat"])


# Folders


@pytest.fixture
def cats(tmp_path: Path) -> Benchmark:
    """Five pictures of a cat, in ``pictures``."""
    (tmp_path / "pictures").mkdir()
    for number in range(5):
        Image.new("RGB", (100, 100), (number, 0, 0)).save(tmp_path / "pictures" / f"p{number}.png")
    return write_benchmark(
        tmp_path / "benchmark", {f"p{number}": layout((LEFT, "cat")) for number in range(5)}, {}
    )


def test_parts_make_the_whole(cats: Benchmark, tmp_path: Path) -> None:
    scorer = Scorer(Told((LEFT, 0.9, "cat")), [YES])
    for number in range(3):
        score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "parts", (number, 3), bar=False)
    score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "whole", bar=False)
    assert read_scores(cats, tmp_path / "parts") == read_scores(cats, tmp_path / "whole")


def test_only_what_is_new_is_judged(cats: Benchmark, tmp_path: Path) -> None:
    detector = Told((LEFT, 0.9, "cat"))
    scorer = Scorer(detector, [YES])
    score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "out", bar=False)
    assert len(detector.asked) == 5
    Image.new("RGB", (100, 100), (9, 9, 9)).save(tmp_path / "pictures" / "p1.png")
    record_path(tmp_path / "out", "p3").unlink()
    score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "out", bar=False)
    assert len(detector.asked) == 7


def test_what_is_lent_is_not_judged_again(cats: Benchmark, tmp_path: Path) -> None:
    detector = Told((LEFT, 0.9, "cat"))
    scorer = Scorer(detector, [YES])
    score_pictures(scorer, cats, tmp_path / "pictures", tmp_path / "out", bar=False)
    part = write_benchmark(tmp_path / "part", {entry.name: entry.layout for entry in cats.entries[1:3]}, {})
    lend_records(tmp_path / "out", tmp_path / "other", part.entries)
    score_pictures(scorer, part, tmp_path / "pictures", tmp_path / "other", bar=False)
    assert len(detector.asked) == 5
    assert read_scores(part, tmp_path / "other") == read_scores(cats, tmp_path / "out")[1:3]


def test_a_broken_record_is_named(cats: Benchmark, tmp_path: Path) -> None:
    path = record_path(tmp_path / "out", "p0")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"p0.json cannot be read .* Remove it"):
        score_pictures(Scorer(Told(), [YES]), cats, tmp_path / "pictures", tmp_path / "out", bar=False)


def test_missing_pictures_are_counted_and_named(cats: Benchmark, tmp_path: Path) -> None:
    for number in (0, 1, 2, 4):
        (tmp_path / "pictures" / f"p{number}.png").unlink()
    with pytest.raises(
        ValueError, match=r"4 of 5 pictures are not in .*: p0.png, p1.png, p2.png \.\.\. Make them"
    ):
        check_pictures(cats, tmp_path / "pictures")


def test_pictures_that_cannot_be_the_layouts_are_refused(cats: Benchmark, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "p0.png"
    wanted = cats.entries[0].layout
    Image.new("RGB", (100, 60)).save(path)
    with pytest.raises(ValueError, match=r"p0.png is 100 x 60 pixels; its layout is 100 x 100"):
        read_picture(path, wanted)
    whole = Image.effect_noise((100, 100), 50)
    whole.save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"p0.png cannot be read .* Make it again"):
        read_picture(path, wanted)
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"p0.png cannot be read"):
        read_picture(path, wanted)
