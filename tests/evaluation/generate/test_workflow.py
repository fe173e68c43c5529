"""The slots of a workflow: found in all workflows of this pack, never guessed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.generate.workflow import Slot, WorkflowError, find_slots, read_workflow
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.layout_formats import from_json

WORKFLOWS = Path(__file__).resolve().parents[3] / "workflows" / "api"
# Workflows whose slots must be chosen, or that cannot be filled, and what the error says.
REFUSED = {
    "two_layouts_in_a_batch.json": "--slot layout=NODE.INPUT",
    "check_and_repair.json": "--slot seed=NODE.INPUT",
    "detail_each_box.json": "--slot seed=NODE.INPUT",
    "redraw_a_tile.json": "--slot seed=NODE.INPUT",
    "layouts_for_ideogram.json": "no candidate for the slot seed",
    "layout_from_a_prompt.json": "layout_text, which replaces the layouts of the benchmark. Remove the link",
    "layout_from_a_picture.json": "layout_text, which replaces the layouts of the benchmark. Remove the link",
}
ONE_LAYOUT = sorted(path.name for path in WORKFLOWS.glob("*.json") if path.name not in REFUSED)
LAYOUT = Layout(832, 1216, (Instance(Box(0.1, 0.2, 0.3, 0.7), "a red cat"),), "a room")


def graph(name: str = "place_things_with_boxes.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((WORKFLOWS / name).read_text("utf-8"))
    return content


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def only(content: dict[str, Any], kind: str) -> dict[str, Any]:
    (node,) = (node for node in content.values() if node["class_type"] == kind)
    inputs: dict[str, Any] = node["inputs"]
    return inputs


@pytest.mark.parametrize("name", ONE_LAYOUT)
def test_slots_of_our_workflows_are_found_and_filled(name: str) -> None:
    workflow = read_workflow(WORKFLOWS / name)
    before = copy.deepcopy(workflow.graph)
    filled = workflow.fill(LAYOUT, 2**31 + 7)
    given = only(filled, "IFAdapterLayout")
    assert from_json(given["layout"], given["width"], given["height"]) == LAYOUT
    assert only(filled, "KSampler")["seed"] == 2**31 + 7
    assert "prompt" not in workflow.slots  # it is linked to the layout node
    assert filled[workflow.slots["image"].node]["class_type"] == "SaveImage"
    assert workflow.graph == before  # unchanged for the next picture
    changed = [
        (node, key)
        for node in filled
        for key in filled[node]["inputs"]
        if filled[node]["inputs"][key] != before[node]["inputs"][key]
    ]
    assert {key for _, key in changed} <= {"layout", "width", "height", "seed"}


@pytest.mark.parametrize("name", REFUSED)
def test_other_workflows_of_ours_say_what_to_choose(name: str) -> None:
    with pytest.raises(WorkflowError) as refused:
        read_workflow(WORKFLOWS / name)
    assert REFUSED[name] in str(refused.value)


def test_a_prompt_given_as_text_is_a_slot(tmp_path: Path) -> None:
    content = graph()
    content["10"]["inputs"]["text"] = "an old prompt"
    content["20"] = {
        "class_type": "ConditioningSetArea",
        "inputs": {"conditioning": ["10", 0], "strength": 1},
    }
    content["13"]["inputs"]["positive"] = ["20", 0]
    workflow = read_workflow(write(tmp_path, content))
    assert workflow.slots["prompt"] == Slot("10", "text")
    assert workflow.fill(LAYOUT, 1)["10"]["inputs"]["text"] == "a room, a red cat"


def test_a_preview_is_used_if_no_image_is_saved(tmp_path: Path) -> None:
    content = graph("try_it_without_downloads.json")
    (layout_preview,) = (node for node, each in content.items() if each["class_type"] == "PreviewImage")
    del content[layout_preview]
    (saved,) = (node for node, each in content.items() if each["class_type"] == "SaveImage")
    content[saved]["class_type"] = "PreviewImage"
    assert read_workflow(write(tmp_path, content)).slots["image"].node == saved


def test_ambiguous_slots_must_be_given(tmp_path: Path) -> None:
    content = graph()
    content["30"] = {"class_type": "SaveImage", "inputs": {"images": ["14", 0]}}
    content["31"] = {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}}
    path = write(tmp_path, content)
    with pytest.raises(
        WorkflowError,
        match=r"2 candidates \(13\.seed, 31\.noise_seed\) for the slot seed\. "
        r"Choose one with --slot seed=NODE\.INPUT",
    ):
        read_workflow(path)
    with pytest.raises(WorkflowError, match=r"2 candidates \(15, 30\) for the slot image"):
        read_workflow(path, slots=["seed=RandomNoise.noise_seed"])
    slots = read_workflow(path, slots=["seed=RandomNoise.noise_seed", "image=30", "prompt=11.text"]).slots
    assert (slots["seed"], slots["image"].node, slots["prompt"]) == (
        Slot("31", "noise_seed"),
        "30",
        Slot("11", "text"),
    )


def test_two_layout_nodes_are_ambiguous() -> None:
    with pytest.raises(WorkflowError, match="the slot layout"):
        find_slots(graph("two_layouts_in_a_batch.json"), {})


def test_settings_apply_to_all_pictures() -> None:
    settings = [
        "KSampler.steps=4",
        "IFAdapterEncode.use_eot_token=false",
        "8.strength=0.25",
        "KSampler.sampler_name=dpmpp_2m",
    ]
    filled = read_workflow(WORKFLOWS / "place_things_with_boxes.json", settings=settings).fill(LAYOUT, 1)
    assert (only(filled, "KSampler")["steps"], only(filled, "KSampler")["sampler_name"]) == (
        4,
        "dpmpp_2m",
    )
    assert only(filled, "IFAdapterEncode")["use_eot_token"] is False
    assert only(filled, "IFAdapterApply")["strength"] == 0.25


@pytest.mark.parametrize(
    ("slots", "settings", "message"),
    [
        ([], ["KSampler.step=4"], r"Node 13 \(KSampler\) has no input step; it has seed, steps"),
        (
            [],
            ["Sampler.steps=4"],
            r"Sampler: the workflow has no such node\. Its classes are CLIPTextEncode",
        ),
        ([], ["CLIPTextEncode.text=x"], r"2 nodes of that class \(10, 11\); give an id"),
        ([], ["KSampler.steps"], r"'KSampler\.steps' is not a setting; write NODE\.INPUT=VALUE"),
        (
            ["seeds=13.seed"],
            [],
            r"'seeds=13\.seed' is not a slot; .*layout, width, height, seed, prompt, image",
        ),
        (["seed=13"], [], r"'13' is not an input; write NODE\.INPUT"),
    ],
)
def test_wrong_names_are_explained(slots: list[str], settings: list[str], message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        read_workflow(WORKFLOWS / "place_things_with_boxes.json", slots, settings)


def test_a_missing_workflow_names_the_folder_of_the_api_workflows(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"basic_api\.json\. .* workflows/api/"):
        read_workflow(tmp_path / "basic_api.json")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"nodes": []},
        json.loads((WORKFLOWS.parent / "place_things_with_boxes.json").read_text("utf-8")),
    ],
    ids=["list", "other", "graph"],
)
def test_other_files_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(WorkflowError, match=r"not a workflow in API format.*Export \(API\)"):
        read_workflow(write(tmp_path, content))
