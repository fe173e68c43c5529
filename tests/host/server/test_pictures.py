"""Committed workflows on the server, and the pictures that they save."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ifadapter_core.layout import Layout
from server_process import Server, messages
from shapes.recognition.verifier import verify
from shapes.scene import Attributes, Figure
from workflow_graphs import (
    SIDE_PX,
    WORKFLOWS,
    change,
    committed,
    layout_of,
    only,
    strength,
    without_adapter,
    workflow,
)

# The captions of try_it_without_downloads.json.
DEMO_FIGURES = [
    Attributes("circle", "red", "dotted", "white"),
    Attributes("circle", "yellow", "bordered", "blue"),
    Attributes("triangle", "green", "striped", "white"),
    Attributes("square", "blue"),
]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_changes_the_picture_and_strength_zero_does_not(server: Server, name: str) -> None:
    # First, so that a model that stays patched would be detected.
    without = server.picture(without_adapter(workflow(name)))
    adapted = pixels(server.picture(workflow(name)))
    off = server.picture(strength(workflow(name), 0.0))
    assert adapted.shape == (SIDE_PX, SIDE_PX, 3)
    assert adapted.std() > 1
    assert off == without
    assert np.abs(adapted.astype(int) - pixels(without)).mean() > 1


def test_each_image_of_a_batch_has_its_own_layout(server: Server) -> None:
    first, second = map(pixels, server.pictures(workflow("two_layouts_in_a_batch.json")))
    # The same seed, and the layout of the first.
    alone = pixels(server.picture(workflow("place_things_with_boxes.json")))
    assert np.abs(first.astype(int) - alone).max() <= 1
    swapped = workflow("two_layouts_in_a_batch.json")
    node = swapped[only(swapped, "IFAdapterBatchMaps")]["inputs"]
    node["more_maps"], node["semantic_maps"] = node["semantic_maps"], node["more_maps"]
    other_first, other_second = map(pixels, server.pictures(swapped))
    assert np.abs(first.astype(int) - other_first).mean() > 1
    assert np.abs(second.astype(int) - other_second).mean() > 1


def test_same_prompt_gives_same_file_after_another_one(server: Server) -> None:
    first = server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=7))
    other = server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=8))
    again = server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=7))
    assert first == again
    assert first != other


def test_run_after_an_interrupted_one_is_unaffected(server: Server) -> None:
    expected = server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=9))
    long_run = change(workflow("place_things_with_boxes.json"), "KSampler", seed=9, steps=2000)
    entry = server.run(long_run, interrupt_at=2)
    assert messages(entry, "execution_interrupted")
    assert only(long_run, "SaveImage") not in entry["outputs"]
    assert server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=9)) == expected


def test_the_demo_draws_its_layout(server: Server) -> None:
    """The committed workflow, with the models that ship with the pack."""
    graph = committed("try_it_without_downloads.json")
    layout = layout_of(graph)
    shown = pixels(server.picture(graph))
    assert shown.shape == (512, 512, 3)  # enlarged to be seen
    graph[only(graph, "SaveImage")]["inputs"]["images"] = [only(graph, "VAEDecode"), 0]
    (drawn,) = server.saved(server.finished(graph), graph)
    picture = pixels(drawn)
    assert picture.shape == (layout.height, layout.width, 3) == (128, 128, 3)
    assert picture.std() > 1
    small = Image.fromarray(shown).resize((128, 128), Image.Resampling.BOX)
    assert np.abs(picture.astype(int) - np.asarray(small)).mean() < 3  # the same picture
    verdicts = verify(picture, figures_of(layout))
    assert len(verdicts) == len(layout.instances)
    assert all(verdict.success for verdict in verdicts)


def figures_of(layout: Layout) -> list[Figure]:
    """The layout's instances for the verifier, with boxes in pixels."""
    sides = (layout.width, layout.height) * 2
    return [
        Figure(
            attributes,
            tuple(round(value * side) for value, side in zip(instance.box, sides, strict=True)),
            instance.local_description,
        )
        for attributes, instance in zip(DEMO_FIGURES, layout.instances, strict=True)
    ]


def test_a_run_reports_exact_token_counts_to_the_editor(server: Server) -> None:
    graph = workflow(WORKFLOWS[0])
    shown = server.run(graph)["outputs"][only(graph, "IFAdapterLayout")]["ifadapter_tokens"]
    assert [entry["text"] for entry in shown] == layout_of(graph).local_descriptions
    assert all(2 < entry["tokens"] <= 77 for entry in shown)
