"""Right, wrong or missing: from detections, from answers, and from both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifadapter_core.checking.report import report
from ifadapter_core.checking.result import CheckResult, check
from ifadapter_core.layout import Box, Instance, Layout, LayoutError

CAT, POT, VASE = Box(0.0, 0.0, 0.4, 0.5), Box(0.5, 0.0, 1.0, 0.5), Box(0.1, 0.6, 0.9, 1.0)
LAYOUT = Layout(
    200,
    100,
    (Instance(CAT, "a cat"), Instance(POT, "a pot", 0.5), Instance(VASE, "a vase")),
    "a table",
)
SIZE = (400, 200)


def at(box: Box, size: tuple[int, int] = SIZE, score: float = 1.0) -> dict:
    width, height = size
    x0, y0, x1, y1 = box.x0 * width, box.y0 * height, box.x1 * width, box.y1 * height
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "score": score}


def marks(result: CheckResult, image: int = 0) -> list[str]:
    return [instance.mark for instance in result.images[image].instances]


FOUND, ELSEWHERE, NOTHING = [[at(CAT)]], [[at(CAT)]], [[]]


def test_boxes_alone_say_what_is_in_place() -> None:
    result = check([SIZE], [LAYOUT], [FOUND, ELSEWHERE, NOTHING])
    assert marks(result) == ["right", "missing", "missing"]
    assert result.success_rate == pytest.approx(1 / 3)
    assert not result.all_right
    assert (result.has_boxes, result.has_answers) == (True, False)


def test_answers_alone_say_what_fits() -> None:
    result = check([SIZE], [LAYOUT], answers=["Yes, it does.", "no", "yes, but the vase is blue"])
    assert marks(result) == ["right", "wrong", "wrong"]
    assert result.notices == ("1 of 3 answers are neither yes nor no. They count as not right.",)


def test_boxes_and_answers_must_agree() -> None:
    boxes = [FOUND, [[at(POT)]], NOTHING]
    assert marks(check([SIZE], [LAYOUT], boxes, ["yes", "no", "yes"])) == ["right", "wrong", "missing"]
    assert marks(check([SIZE], [LAYOUT], boxes, ["yes", "yes", "no"])) == ["right", "right", "missing"]


def test_one_detection_serves_one_box() -> None:
    two = Layout(100, 100, (Instance(CAT, "a cat"), Instance(Box(0.05, 0, 0.45, 0.5), "a cat")))
    once = [[at(CAT, (100, 100))]]
    assert sorted(marks(check([(100, 100)], [two], [once, once]))) == ["missing", "right"]


def test_the_least_iou_is_a_limit() -> None:
    half = [[at(Box(0.0, 0.0, 0.2, 0.5))]]
    alone = Layout(200, 100, LAYOUT.instances[:1])
    assert marks(check([SIZE], [alone], [half])) == ["right"]
    (instance,) = check([SIZE], [alone], [half], least_iou=0.55).images[0].instances
    assert (instance.mark, instance.found) == ("missing", None)
    assert instance.iou == pytest.approx(0.5)


def test_the_best_image_and_its_failed_instances() -> None:
    cat, pot, vase = [[[], [at(CAT)], [at(CAT)]], [[], [], [at(POT)]], [[at(VASE)]] * 3]
    result = check([SIZE] * 3, [LAYOUT], [cat, pot, vase])
    assert [marks(result, image).count("right") for image in range(3)] == [1, 2, 3]
    assert result.best_image == 2
    assert result.failed == Layout(200, 100, (), "a table")
    worse = check([SIZE] * 2, [LAYOUT], [cat[:2], pot[:2], vase[:2]])
    assert worse.best_image == 1
    assert worse.failed == Layout(200, 100, LAYOUT.instances[1:2], "a table")


def test_of_equally_right_images_the_one_with_fewer_missing_and_then_the_first_is_best() -> None:
    answers = ["yes", "no", "no"] * 3
    boxes = [[[at(CAT)]] * 3, [[], [at(POT)], [at(POT)]], [[]] * 3]
    assert check([SIZE] * 3, [LAYOUT], boxes, answers).best_image == 1
    assert check([SIZE] * 3, [LAYOUT], answers=answers).best_image == 0


def test_each_image_may_have_its_own_layout() -> None:
    other = Layout(100, 100, (Instance(CAT, "a dog"),))
    result = check([SIZE, (64, 64)], [LAYOUT, other], answers=["yes", "yes", "no", "yes"])
    assert [marks(result, image) for image in range(2)] == [["right", "right", "wrong"], ["right"]]
    assert result.best_image == 1
    assert result.success_rate == pytest.approx(3 / 4)


def test_the_marks_for_the_editor() -> None:
    result = check([SIZE] * 2, [LAYOUT], answers=["yes", "no", "<think>hm</think>It is a red vase."] * 2)
    assert result.marks[:3] == [
        {"box": 1, "mark": "right", "image": 0},
        {"box": 2, "mark": "wrong", "image": 0},
        {"box": 3, "mark": "wrong", "image": 0, "seen": "It is a red vase."},
    ]
    assert [mark["image"] for mark in result.marks] == [0, 0, 0, 1, 1, 1]
    assert len(check([SIZE], [LAYOUT], answers=["yes", "no", "x" * 999]).marks[2]["seen"]) == 200


def test_nothing_to_check_is_right_and_said() -> None:
    empty = Layout(200, 100)
    result = check([SIZE] * 2, [empty], [], [])
    assert (result.success_rate, result.all_right, result.best_image) == (1.0, True, 0)
    assert result.failed == empty
    assert result.marks == []
    assert "no instances" in report(result)


def test_other_proportions_are_said() -> None:
    (notice,) = check([(100, 100)], [LAYOUT], answers=["yes"] * 3).notices
    assert "100 x 100" in notice
    assert "200 x 100" in notice
    assert not check([(201, 100)], [LAYOUT], answers=["yes"] * 3).notices


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Neither boxes nor answers.*Link the boxes"),
        ({"answers": ["yes"] * 4}, "4 answers are linked for 6 instances in 2 images"),
        ({"answers": []}, "0 answers are linked for 6 instances"),
        ({"boxes": [FOUND] * 2}, "2 lists of boxes are linked"),
        ({"layouts": [LAYOUT] * 3, "answers": []}, "3 layouts are linked for 2 images"),
        ({"sizes": [], "answers": []}, "No image is linked"),
    ],
)
def test_errors_tell_what_is_given_and_expected(given: dict, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        check(**{"sizes": [SIZE] * 2, "layouts": [LAYOUT], **given})


def test_the_report_names_each_instance_and_why() -> None:
    boxes = [[[at(CAT)], [at(CAT)]], [[at(POT)], [at(Box(0.5, 0.3, 1.0, 0.8))]], [[], []]]
    text = report(check([SIZE] * 2, [LAYOUT], boxes, ["yes", "no", "no", "yes", "maybe", "yes"]))
    assert text == (
        "Image 1: 1 of 3 right\n"
        "  1  right      a cat\n"
        "     detected in its box, IoU 1.00\n"
        "     answer: yes\n"
        "  2  wrong      a pot\n"
        "     detected in its box, IoU 1.00\n"
        "     answer: no\n"
        "  3  not found  a vase\n"
        "     not detected at its box\n"
        "     answer: no\n"
        "\n"
        "Image 2: 1 of 3 right\n"
        "  1  right      a cat\n"
        "     detected in its box, IoU 1.00\n"
        "     answer: yes\n"
        "  2  not found  a pot\n"
        "     detected elsewhere, or by another instance; the largest IoU is 0.25\n"
        "     answer: neither yes nor no (maybe)\n"
        "  3  not found  a vase\n"
        "     not detected at its box\n"
        "     answer: yes\n"
        "\n"
        "Success rate: 33.3 % (2 of 6)\n"
        "Best image: 1 of 2\n"
        "1 of 6 answers are neither yes nor no. They count as not right."
    )


def test_the_report_says_that_no_label_fits() -> None:
    boxes = [[[{**at(CAT), "label": "cat"}, {**at(POT), "label": "dog"}]]]
    result = check([SIZE], [LAYOUT], boxes)
    assert marks(result) == ["right", "missing", "missing"]
    assert report(result).count("the description names no label of the detector") == 2
    assert "No description names the detector's label 'dog'." in result.notices


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Layouts with up to five different boxes on a grid of 20 x 20, some of them with equal descriptions."""
    instances = []
    for _ in range(draw(st.integers(0, 5))):
        x0, x1 = sorted(draw(st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True)))
        y0, y1 = sorted(draw(st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True)))
        words = draw(st.sampled_from(["a cat", "a dog", "a red cat"]))
        instances.append(Instance(Box(x0 / 20, y0 / 20, x1 / 20, y1 / 20), words))
    return Layout(100, 100, tuple({instance.box: instance for instance in instances}.values()))


@given(layouts(), st.integers(1, 3), st.data())
def test_any_detections_and_answers(layout: Layout, images: int, data: st.DataObject) -> None:
    """The boxes of the layout itself are right, and the rate, the marks and the failed layout agree."""
    count = len(layout.instances)
    own = [[[at(instance.box, (100, 100))]] * images for instance in layout.instances]
    yes = ["yes"] * count * images
    assert check([(100, 100)] * images, [layout], own, yes).all_right

    shown = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    boxes = [frames if keep else [[]] * images for frames, keep in zip(own, shown, strict=True)]
    answers = data.draw(
        st.lists(st.sampled_from(["yes", "no", "maybe"]), min_size=len(yes), max_size=len(yes))
    )
    result = check([(100, 100)] * images, [layout], boxes, answers)
    rights = [mark for mark in result.marks if mark["mark"] == "right"]
    assert result.success_rate == (len(rights) / len(yes) if yes else 1.0)
    best = [mark for mark in result.marks if mark["image"] == result.best_image]
    kept = [layout.instances[mark["box"] - 1] for mark in best if mark["mark"] != "right"]
    assert list(result.failed.instances) == kept
    if images == 1:
        assert result.all_right == (not kept)
    for mark in rights:
        assert answers[mark["image"] * count + mark["box"] - 1] == "yes"
