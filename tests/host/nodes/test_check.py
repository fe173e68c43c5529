"""The check of pictures: the evaluation's numbers, batches and lists, and the marks for the editor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import nodes
from evaluation.benchmark import write_benchmark
from evaluation.judge.drawn_world import ShapesVerifier
from evaluation.judge.scorer import crop_corners
from shapes.drawing import draw
from shapes.sampler import World, sample_scene
from shapes.scene import Scene

ROOT = Path(__file__).resolve().parents[3]
PYTHON = os.environ.get("IFADAPTER_TEST_PYTHON", sys.executable)
NEEDED = "import accelerate, matplotlib, pycocotools"  # by the command
PICTURES = 100
WORLD = World(size=64, instances=(1, 2), sides=(0.35, 0.6))
LAYOUT = {
    "caption": "a table",
    "boxes": [
        {"x": 0.1, "y": 0.1, "w": 0.3, "h": 0.4, "caption": "a ginger cat"},
        {"x": 0.5, "y": 0.2, "w": 0.4, "h": 0.5, "caption": "a green teapot", "strength": 0.5},
    ],
}
SIDE = 200
CAT = {"x": 20, "y": 20, "width": 60, "height": 80, "score": 0.9}
POT = {"x": 100, "y": 40, "width": 80, "height": 100, "score": 0.8}


def damaged(scene: Scene, rng: np.random.Generator) -> Scene:
    """Each figure stays, is left out, is moved anywhere, or gets other colours and another pattern."""
    figures = []
    for figure in scene.figures:
        change = rng.choice(["none", "none", "left out", "moved", "other"])
        x0, y0, x1, y1 = figure.box_px
        if change == "moved":
            left, top = (
                rng.integers(0, scene.size - (x1 - x0) + 1),
                rng.integers(0, scene.size - (y1 - y0) + 1),
            )
            figure = replace(figure, box_px=(int(left), int(top), int(left) + x1 - x0, int(top) + y1 - y0))
        if change == "other":
            other = sample_scene(WORLD, int(rng.integers(1000, 2000))).figures[0].attributes
            figure = replace(figure, attributes=replace(other, shape=figure.attributes.shape))
        if change != "left out":
            figures.append(figure)
    return replace(scene, figures=tuple(figures))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 layouts of the drawn world, their damaged pictures, and the scores of the evaluation's command."""
    if subprocess.run([PYTHON, "-c", NEEDED], capture_output=True, check=False).returncode:
        pytest.skip(f"{PYTHON} lacks a package of the evaluation ({NEEDED})")
    folder = tmp_path_factory.mktemp("benchmark")
    scenes = {f"{index:03d}": sample_scene(WORLD, index) for index in range(PICTURES)}
    write_benchmark(folder, {name: scene.layout for name, scene in scenes.items()}, {})
    rng = np.random.Generator(np.random.PCG64(0))
    (folder / "pictures").mkdir()
    for name, scene in scenes.items():
        Image.fromarray(draw(damaged(scene, rng))).save(folder / "pictures" / f"{name}.png")
    # PYTHONPATH contains this process's pytest.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    words = ["score", str(folder), str(folder / "pictures"), str(folder / "scores")]
    done = subprocess.run(
        [PYTHON, "-m", "evaluation", *words, "--detector", "shapes", "--verifier", "shapes"],
        cwd=ROOT,
        env={**environment, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def linked(picture: Image.Image, record: dict[str, Any]) -> tuple[list[list[dict]], list[str]]:
    """What the programs for the drawn world find for each description, and say about each instance.

    record: of the evaluation: what the detector found, and the boxes that it asked about. These are the
        detected ones, and here the layout's for an instance that was not found.
    """
    boxes, answers = [], []
    for instance in record["instances"]:
        found = [each for each in record["detections"] if each["phrase"] == instance["phrase"]]
        boxes.append([bounding_box(each["box"], each["score"]) for each in found])
        number = instance["detection"]
        box = instance["box"] if number is None else record["detections"][number]["box"]
        crop = picture.crop(crop_corners(box, picture.size))
        fits = ShapesVerifier().verify(crop, instance["description"]).fits
        answers.append("Yes, it does." if fits else "no")
    return boxes, answers


def bounding_box(box: Sequence[float], score: float) -> dict[str, float]:
    x0, y0, x1, y1 = box
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "score": score}


def test_the_rate_is_that_of_the_evaluation(node, folder):
    """On 100 pictures with right, wrong and missing figures, instance by instance."""
    scores = json.loads((folder / "scores" / "scores.json").read_text())
    images, layouts, boxes, answers, expected = [], [], [], [], []
    for path in sorted((folder / "layouts").glob("*.json")):
        record = json.loads((folder / "scores" / "pictures" / path.name).read_text())
        picture = Image.open(folder / "pictures" / f"{path.stem}.png").convert("RGB")
        images.append(torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None])
        layout = node("IFAdapterLayout", layout=path.read_text("utf-8"), width=64, height=64)[0]
        layouts.append(layout)
        found, said = linked(picture, record)
        boxes += [[frame] for frame in found]
        answers += said
        for instance in record["instances"]:
            success = instance["verdicts"].get("shapes")
            expected.append("missing" if success is None else "right" if success else "wrong")
    output = nodes.NODE_CLASS_MAPPINGS["IFAdapterCheck"].execute(
        image=images, layout=layouts, boxes=boxes, answers=answers
    )
    assert [mark["mark"] for mark in output.ui["ifadapter_marks"]] == expected
    assert min(expected.count(mark) for mark in ("right", "wrong", "missing")) >= 10
    assert len(expected) == scores["instances"]
    assert output.result[2] == pytest.approx(scores["success"], abs=1e-12)
    assert output.result[0].shape == (PICTURES, 512, 512, 3)


@pytest.fixture(scope="module")
def layout(node):
    return node("IFAdapterLayout", layout=json.dumps(LAYOUT), width=SIDE, height=SIDE)[0]


def images(count: int, side: int = SIDE) -> torch.Tensor:
    """Pictures in different greys."""
    return (torch.arange(count) / 10).reshape(-1, 1, 1, 1).expand(-1, side, side, 3)


def test_a_batch_and_a_list_of_its_images_are_checked_alike(node, layout):
    boxes = [[[CAT], [], [CAT]], [[], [POT], [POT]]]
    answers = ["yes", "yes", "yes", "no", "yes", "no"]
    batch = images(3)
    whole = node("IFAdapterCheck", image=[batch], layout=[layout], boxes=boxes, answers=answers)
    listed = node("IFAdapterCheck", image=list(batch.split(1)), layout=[layout], boxes=boxes, answers=answers)
    picture, report, rate, all_right, best, failed, failed_image, best_right = whole
    assert picture.shape == (3, 512, 512, 3)
    assert (rate, all_right, best) == (pytest.approx(2 / 6), False, 2)
    assert [instance.local_description for instance in failed.instances] == ["a green teapot"]
    assert (failed.width, failed.height, failed.caption) == (SIDE, SIDE, "a table")
    assert failed.instances[0] == layout.instances[1]
    assert torch.equal(failed_image, batch[2:])
    assert not best_right
    assert report.startswith("Image 1: 1 of 2 right")
    assert torch.equal(picture, listed[0])
    assert listed[1:6] == whole[1:6]


def test_layouts_of_batches_are_those_of_their_images_as_for_crops(node, layout):
    """A batch of two for each of two layouts, as a sampler gives it that runs once for each layout."""
    other = replace(layout, instances=layout.instances[:1])
    batches, layouts = list(images(4).split(2)), [layout, other]
    questions = node("IFAdapterCrops", image=batches, layout=layouts, size=[64], question=["check"])[3]
    report = node("IFAdapterCheck", image=batches, layout=layouts, answers=["yes"] * len(questions))[1]
    assert report.count("2 of 2 right") == report.count("1 of 1 right") == 2


@pytest.mark.parametrize(("iou", "message"), [([0.5, 0.7], "list of 2 values"), ([], "an empty list")])
def test_a_list_of_limits_is_an_error(node, layout, iou, message):
    with pytest.raises(ValueError, match=f"iou got {'a ' if iou else ''}{message}"):
        node("IFAdapterCheck", image=[images(1)], layout=[layout], answers=["yes", "yes"], iou=iou)


def test_all_right_leaves_an_empty_layout(node, layout):
    outputs = node("IFAdapterCheck", image=[images(1)], layout=[layout], answers=["yes", "yes"])
    assert outputs[2:5] == (1.0, True, 0)
    assert outputs[5].instances == ()
    assert torch.equal(outputs[6], images(1))
    assert outputs[7]


def test_the_best_image_may_be_right_while_others_are_not(node, layout):
    outputs = node("IFAdapterCheck", image=[images(2)], layout=[layout], answers=["yes", "no", "yes", "yes"])
    assert outputs[2:5] == (0.75, False, 1)
    assert outputs[5].instances == ()
    assert outputs[7]


def test_an_empty_layout_is_all_right(node):
    empty = node("IFAdapterLayout", layout='{"boxes": []}', width=SIDE, height=SIDE)[0]
    outputs = node("IFAdapterCheck", image=[images(1)], layout=[empty], boxes=[], answers=[])
    assert outputs[2:4] == (1.0, True)
    assert "nothing to check" in outputs[1]


def test_pictures_with_transparency_and_of_other_sizes(node, layout):
    mixed = [torch.rand(1, SIDE, SIDE, 4), torch.rand(1, 300, 600, 3)]
    picture, report, *_, failed_image, _ = node(
        "IFAdapterCheck", image=mixed, layout=[layout], answers=["no", "no", "yes", "no"]
    )
    assert picture.shape == (2, 512, 512, 3)
    assert "600 x 300" in report
    assert torch.equal(failed_image, mixed[1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Neither boxes nor answers are linked"),
        ({"answers": ["yes"]}, "1 answers are linked for 2 instances in 1 images"),
        ({"boxes": [[[CAT]]]}, "1 lists of boxes are linked.*Expected 2 lists"),
    ],
)
def test_errors_tell_what_to_link(node, layout, given, message):
    with pytest.raises(ValueError, match=message):
        node("IFAdapterCheck", image=[images(1)], layout=[layout], **given)


def test_notices_are_logged(node, layout, caplog):
    node("IFAdapterCheck", image=[images(1)], layout=[layout], answers=["maybe", "yes"])
    assert "IFAdapter Check: 1 of 2 answers are neither yes nor no" in caplog.text


def test_sam_3_reads_a_description_as_the_help_page_says():
    """Commas separate texts, and each text gives one box, unless a number says otherwise."""
    sam3_clip = pytest.importorskip("comfy.text_encoders.sam3_clip", reason="a host without SAM 3")
    from comfy_extras.nodes_string import StringConcatenate, StringReplace

    description = "a ginger cat, with white paws"
    assert sam3_clip._parse_prompts(description) == [("a ginger cat", 1), ("with white paws", 1)]
    (plain,) = StringReplace.execute(string=description, find=",", replace=" ").result
    (text,) = StringConcatenate.execute(string_a=plain, string_b=":10", delimiter="").result
    assert sam3_clip._parse_prompts(text) == [("a ginger cat  with white paws", 10)]
