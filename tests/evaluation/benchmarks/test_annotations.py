"""Odd entries of a COCO file are left out, counted and logged, or the file is refused."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest

from evaluation.build.annotations import CocoPicture, pictures_of
from evaluation.build.coco import Selection, candidates, choose, read_annotations

NAN, INFINITY = float("nan"), float("inf")
BOX = [10, 10, 20, 30]
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def image(key: Any, file_name: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": key, "file_name": file_name or f"p{key}.jpg", "width": 200, "height": 100, **more}


def thing(key: Any, of: Any = 0, **more: Any) -> dict[str, Any]:
    return {"id": key, "image_id": of, "category_id": 1, "bbox": BOX, **more}


def coco(images: list[Any], annotations: list[Any], categories: list[Any] = CATEGORIES) -> dict[str, Any]:
    return {"images": images, "annotations": annotations, "categories": categories}


def ids(pictures: list[CocoPicture]) -> dict[str, list[Any]]:
    """The ids of the objects by the name of their picture."""
    return {picture.name: [each.id for each in picture.objects] for picture in pictures}


@pytest.fixture(autouse=True)
def warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"bbox": None}, "without a bbox of four numbers"),
        ({"bbox": []}, "without a bbox of four numbers"),
        ({"bbox": "10,10,20,30"}, "without a bbox of four numbers"),
        ({"bbox": ["10", "10", "20", "30"]}, "without a bbox of four numbers"),
        ({"bbox": [1, 2, 3]}, "without a bbox of four numbers"),
        ({"bbox": [1, 2, NAN, 3]}, "without a bbox of four numbers"),
        ({"bbox": [1, 2, INFINITY, 3]}, "without a bbox of four numbers"),
        ({"bbox": [1, 2, 10**400, 3]}, "without a bbox of four numbers"),
        ({"bbox": [10, 10, 0, 30]}, "whose bbox has no area in the picture"),
        ({"bbox": [10, 10, -5, 30]}, "whose bbox has no area in the picture"),
        ({"bbox": [200, 10, 20, 30]}, "whose bbox has no area in the picture"),
        ({"bbox": [10, 10, 1e-320, 30]}, "whose bbox has no area in the picture"),
        ({"category_id": 3}, "of categories that are not listed"),
        ({"category_id": "1"}, "of categories that are not listed"),
        ({"category_id": [1]}, "of categories that are not listed"),
        ({"image_id": 9}, "of images that are not listed"),
        ({"image_id": "0"}, "of images that are not listed"),
        ({"image_id": {}}, "of images that are not listed"),
        ({"id": None}, "without an id"),
        ({"id": [7]}, "without an id"),
        ({"id": True}, "without an id"),
    ],
    ids=lambda value: json.dumps(value)[:30] if isinstance(value, dict) else "",
)
def test_odd_annotations_are_counted_in_one_line(
    odd: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [thing(1), {**thing(7), **odd}, {**thing(8), **odd}]
    assert ids(pictures_of(coco([image(0)], entries))) == {"p0": [1]}
    (line,) = caplog.messages
    assert line.startswith(f"Left out: 2 annotations {reason}, for example ")
    if "id" not in odd:
        assert line.endswith(" 7.")


@pytest.mark.parametrize("missing", ["id", "image_id", "category_id", "bbox"])
def test_missing_keys_are_no_traceback(missing: str, caplog: pytest.LogCaptureFixture) -> None:
    entry = thing(7)
    del entry[missing]
    assert ids(pictures_of(coco([image(0)], [thing(1), entry]))) == {"p0": [1]}
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"width": 0}, "without a width and a height in pixels"),
        ({"height": None}, "without a width and a height in pixels"),
        ({"width": "200"}, "without a width and a height in pixels"),
        ({"width": 200.5}, "without a width and a height in pixels"),
        ({"width": 10**400}, "without a width and a height in pixels"),
        ({"file_name": None}, "without a file_name"),
        ({"file_name": 7}, "without a file_name"),
        ({"id": None}, "without an id"),
        ({"id": {}}, "without an id"),
        ({"file_name": ".."}, "whose names are equal or cannot be file names"),
        ({"file_name": "/"}, "whose names are equal or cannot be file names"),
    ],
    ids=lambda value: json.dumps(value)[:30] if isinstance(value, dict) else "",
)
def test_odd_images_are_counted_in_one_line(
    odd: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Their annotations are not counted too."""
    data = coco([image(0), {**image(5), **odd}], [thing(1), thing(2, 5)])
    if "id" in odd:
        data["annotations"].pop()
    assert ids(pictures_of(data)) == {"p0": [1]}
    (line,) = caplog.messages
    assert line.startswith(f"Left out: 1 images {reason}, for example ")


def test_entries_that_are_no_objects_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    data = coco(
        [image(0), 3, None], [thing(1), [], "x"], [*CATEGORIES, None, {"id": 4}, {"id": [], "name": "x"}]
    )
    assert ids(pictures_of(data)) == {"p0": [1]}
    assert [line.split(",")[0] for line in caplog.messages] == [
        "Left out: 2 images without an id",
        "Left out: 2 annotations without an id",
    ]


def test_whole_numbers_and_text_ids_are_fine(caplog: pytest.LogCaptureFixture) -> None:
    data = coco(
        [image("a", width=200.0)],
        [thing("y", "a", category_id="c"), thing("x", "a", category_id="c"), thing(3, "a", category_id="c")],
        [{"id": "c", "name": "cat"}],
    )
    (picture,) = pictures_of(data)
    assert (picture.name, picture.size, len(picture.objects)) == ("pa", (200, 100), 3)
    (draft,) = candidates(data, Selection(objects=(1, 3)))
    assert len(draft.layout.instances) == 3
    assert not caplog.messages


def test_pictures_with_odd_annotations_only_are_no_candidates() -> None:
    data = coco([image(0), image(1)], [thing(1, bbox=[0, 0, 0, 0]), thing(2, 1, iscrowd=1)])
    assert candidates(data, Selection(objects=(0, 8))) == []


# Names


def test_equal_file_names_in_two_folders_are_two_pictures(caplog: pytest.LogCaptureFixture) -> None:
    files = ["a/1.jpg", "b/1.jpg", "a/2.jpg", "a/3.jpg", "3.png", "x/IMG (1).jpg", "x/.4.jpg"]
    data = coco(
        [image(key, file) for key, file in enumerate(files)], [thing(key, key) for key in range(len(files))]
    )
    found = {picture.name: picture.file_name for picture in pictures_of(data)}
    assert found == dict(zip(["a_1", "b_1", "2", "a_3", "3", "IMG_1_", "4"], files, strict=True))
    assert not caplog.messages
    drafts = choose(data, Selection(objects=(1, 1)), len(files), seed=0)
    shuffled = {key: random.Random(0).sample(value, len(value)) for key, value in data.items()}
    assert choose(shuffled, Selection(objects=(1, 1)), len(files), seed=0) == drafts


def test_names_that_stay_equal_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Also names that differ in case only: not every disk can tell them apart."""
    files = ["a/1.jpg", "a/1.png", "b.jpg", "B.jpg", "c.jpg"]
    data = coco(
        [image(key, file) for key, file in enumerate(files)], [thing(key, key) for key in range(len(files))]
    )
    assert ids(pictures_of(data)) == {"c": [4]}
    assert caplog.messages == [
        "Left out: 4 images whose names are equal or cannot be file names, for example 'a/1.jpg'."
    ]


def test_an_image_that_is_listed_twice_is_used_once(caplog: pytest.LogCaptureFixture) -> None:
    data = coco([image(0), image(1), image(0)], [thing(1), thing(2, 1), thing(2, 1)])
    assert ids(pictures_of(data)) == {"p0": [1], "p1": [2]}
    assert caplog.messages == [
        "Left out: 1 images that are listed again, for example 0.",
        "Left out: 1 annotations that are listed again, for example 2.",
    ]


@pytest.mark.parametrize(
    "twin", [image(0, "other.jpg"), image(0, width=300), image(5, "p0.jpg"), image(5, "./p0.jpg")]
)
def test_an_image_that_is_listed_twice_in_different_ways_is_left_out(
    twin: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can tell which picture its annotations mean, or its annotations are spread over two."""
    data = coco([image(0), image(1), twin], [thing(1), thing(2, 1), thing(3, 5)])
    data["annotations"] = data["annotations"][: 2 + (twin["id"] == 5)]
    assert ids(pictures_of(data)) == {"p1": [2]}
    assert any(
        "images with several files, or files with several images, for example 0" in line
        for line in caplog.messages
    )


# Other files


@pytest.mark.parametrize(
    "content",
    [
        {"images": [image(0)], "annotations": [{"id": 1, "image_id": 0, "caption": "a cat"}]},
        coco([image(0)], [{"image_id": 0, "file_name": "p0.png", "segments_info": [{"id": 1, "bbox": BOX}]}]),
        {**coco([], []), "annotations": {}},
        {**coco([], []), "categories": None},
    ],
    ids=["captions", "panoptic", "no list", "no categories"],
)
def test_captions_and_panoptic_files_are_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"other\.json is not a file of COCO's instance annotations"):
        read_annotations(path)


def test_deeply_nested_json_is_refused_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("[" * 200_000)
    with pytest.raises(ValueError, match=r"file\.json is not a file of COCO's instance annotations"):
        read_annotations(path)
    path.write_text("\ufeff" + json.dumps(coco([], [])), "utf-8")
    assert read_annotations(path) == coco([], [])
