"""Selection of pictures and boxes from COCO."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from evaluation.build.coco import Selection, candidates, choose, read_annotations


def coco(*pictures: list[dict[str, Any]], width: int = 200, height: int = 100) -> dict[str, Any]:
    """Annotations of pictures; each picture is a list of annotations, completed with defaults."""
    images = [
        {"id": number, "file_name": f"p{number}.jpg", "width": width, "height": height}
        for number in range(len(pictures))
    ]
    annotations = [
        {"id": 100 * number + place, "image_id": number, "category_id": 1, "iscrowd": 0, **each}
        for number, picture in enumerate(pictures)
        for place, each in enumerate(picture)
    ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def boxes(count: int, side: float = 20) -> list[dict[str, Any]]:
    """Boxes inside the central square, 50..150 of 200 pixels."""
    return [{"bbox": [55 + 8 * place, 5 + 8 * place, side, side]} for place in range(count)]


def test_pictures_have_three_to_eight_objects() -> None:
    drafts = candidates(coco(*(boxes(count) for count in range(11))), Selection())
    assert [len(draft.layout.instances) for draft in drafts] == [3, 4, 5, 6, 7, 8]
    assert [draft.name for draft in drafts] == [f"p{number}" for number in range(3, 9)]


def test_small_objects_and_crowds_do_not_count() -> None:
    crowd = {**boxes(1)[0], "iscrowd": 1}
    small = {"bbox": [60, 10, 10, 20]}  # exactly 2 % of the square of 100 x 100 pixels
    large = {"bbox": [60, 10, 10, 20.5]}
    drafts = candidates(
        coco([*boxes(2), crowd], [*boxes(2), small], [*boxes(2), large], [*boxes(3), crowd, small]),
        Selection(),
    )
    assert [(draft.name, len(draft.layout.instances)) for draft in drafts] == [("p2", 3), ("p3", 3)]


def test_boxes_are_cropped_to_the_central_square() -> None:
    cut = {"bbox": [40, 0, 30, 50], "category_id": 2}  # a third is outside the square
    out = {"bbox": [0, 0, 60, 60]}  # most is outside the square
    (draft,) = candidates(coco([*boxes(2), cut, out]), Selection())
    assert draft.square == (50, 0, 100)
    assert (draft.layout.width, draft.layout.height) == (100, 100)
    assert draft.layout.boxes[0] == pytest.approx((0.0, 0.0, 0.2, 0.5))
    assert draft.layout.instances[0].local_description == "dog"
    assert len(draft.layout.instances) == 3


def test_large_objects_are_behind_small_ones() -> None:
    (draft,) = candidates(coco([{"bbox": [60, 10, side, side]} for side in (20, 50, 30)]), Selection())
    assert [round(100 * (box.x1 - box.x0)) for box in draft.layout.boxes] == [50, 30, 20]


def test_the_choice_depends_on_the_seed_but_not_on_the_order_of_the_file() -> None:
    data = coco(*(boxes(3) for _ in range(40)))
    shuffled = {key: random.Random(1).sample(value, len(value)) for key, value in data.items()}
    names = [draft.name for draft in choose(data, Selection(), 10, seed=3)]
    assert [draft.name for draft in choose(shuffled, Selection(), 10, seed=3)] == names
    assert [draft.name for draft in choose(data, Selection(), 5, seed=3)] == names[:5]
    assert [draft.name for draft in choose(data, Selection(), 10, seed=4)] != names


def test_too_few_pictures_are_an_error_with_both_counts() -> None:
    with pytest.raises(
        ValueError, match=r"5 pictures were requested, but only 2 have 3 to 8 objects .*--count"
    ):
        choose(coco(boxes(3), boxes(3), boxes(1)), Selection(), 5, seed=0)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        json.dumps({"images": [], "annotations": []}),
        json.dumps({**coco(), "images": {}}),
    ],
)
def test_other_json_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "captions.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"captions\.json is not a file of COCO's instance annotations"):
        read_annotations(path)
