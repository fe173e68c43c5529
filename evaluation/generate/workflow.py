"""A workflow in ComfyUI's API format, and its slots: the inputs that differ from picture to picture."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ifadapter_core.layout import Layout
from ifadapter_core.layout_formats import to_json

Graph = dict[str, dict[str, Any]]  # node id -> {"class_type": ..., "inputs": {...}}

REPLACING = ("layout_text", "boxes", "masks")  # inputs of the layout node
LAYOUT_NODE = "IFAdapterLayout"
SEEDS = ("seed", "noise_seed")  # input names
OUTPUTS = ("SaveImage", "PreviewImage")  # classes, by preference
SLOTS = ("layout", "width", "height", "seed", "prompt", "image")


class Slot(NamedTuple):
    """An input of a node.

    node: the node's id.
    input: the input's name; empty for the slot ``image``, which is an output node.
    """

    node: str
    input: str


class WorkflowError(ValueError):
    """The workflow is not usable, or a slot is missing or ambiguous."""


@dataclass(frozen=True)
class Workflow:
    """A workflow for many pictures.

    graph: in API format, with the settings of the run.
    slots: by slot name (see ``SLOTS``); ``layout``, ``seed`` and ``image`` are always present.
    """

    graph: Graph
    slots: Mapping[str, Slot]

    def fill(self, layout: Layout, seed: int) -> Graph:
        """A copy of the graph for one picture."""
        values = {
            "layout": to_json(layout),
            "width": layout.width,
            "height": layout.height,
            "seed": seed,
            "prompt": layout.prompt,
        }
        graph = copy.deepcopy(self.graph)
        for name, value in values.items():
            if name in self.slots:
                node, key = self.slots[name]
                graph[node]["inputs"][key] = value
        return graph


def read_workflow(path: Path, slots: Sequence[str] = (), settings: Sequence[str] = ()) -> Workflow:
    """Read a workflow in API format and find its slots.

    NODE is a node's id, or its class if only one node has that class.

    slots: ``NAME=NODE.INPUT`` (``image=NODE``), overrides of the slots that ``find_slots`` would
        find.
    settings: ``NODE.INPUT=VALUE``, inputs for the whole run; VALUE is JSON or plain text.

    Raises WorkflowError that names what is missing or ambiguous.
    """
    graph = _read_graph(path)
    for setting in settings:
        place, equals, value = setting.partition("=")
        if not equals:
            raise WorkflowError(
                f"{setting!r} is not a setting; write NODE.INPUT=VALUE, for example KSampler.steps=30."
            )
        node, key = find_input(graph, place)
        graph[node]["inputs"][key] = _value(value)
    given = {}
    for slot in slots:
        name, equals, place = slot.partition("=")
        if not equals or name not in SLOTS:
            raise WorkflowError(
                f"{slot!r} is not a slot; write NAME=NODE.INPUT, where NAME is one of {', '.join(SLOTS)}."
            )
        given[name] = Slot(_node(graph, place), "") if name == "image" else find_input(graph, place)
    return Workflow(graph, find_slots(graph, given))


def _read_graph(path: Path) -> Graph:
    try:
        graph = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        example = "workflows/api/place_things_with_boxes.json"
        raise WorkflowError(
            f"There is no workflow {path}. Those of this pack are in workflows/api/, for example {example}."
        ) from error
    except ValueError as error:
        raise WorkflowError(f"{path} is not JSON: {error}") from error
    if not isinstance(graph, dict) or not all(
        isinstance(node, dict) and {"class_type", "inputs"} <= node.keys() for node in graph.values()
    ):
        raise WorkflowError(
            f"{path} is not a workflow in API format. In ComfyUI, save it with File > Export (API)."
        )
    return graph


def find_slots(graph: Graph, given: Mapping[str, Slot]) -> dict[str, Slot]:
    """All slots of a workflow.

    given: slots that are known already.

    layout, width, height: inputs of the only ``IFAdapterLayout`` node.
    seed: the only input named ``seed`` or ``noise_seed`` that holds a number.
    prompt: the ``text`` of the node that the sampler's ``positive`` leads back to, if it holds
        text. In our workflows it is linked to the layout node instead, and there is no such slot.
    image: the only ``SaveImage`` node, or else the only ``PreviewImage`` node.

    Raises WorkflowError if a required slot is missing or ambiguous, or if a link replaces the layout.
    """
    slots = dict(given)
    if "layout" not in slots:
        layouts = [node for node, each in graph.items() if each["class_type"] == LAYOUT_NODE]
        slots["layout"] = Slot(_only("layout", layouts), "layout")
    _refuse_replaced(graph, slots["layout"])
    for name in ("width", "height"):
        if name not in slots and name in graph[slots["layout"].node]["inputs"]:
            slots[name] = Slot(slots["layout"].node, name)
    if "seed" not in slots:
        seeds = [
            f"{node}.{key}"
            for node, each in graph.items()
            for key in SEEDS
            if isinstance(each["inputs"].get(key), int)
        ]
        slots["seed"] = find_input(graph, _only("seed", seeds))
    if "image" not in slots:
        outputs = [[node for node, each in graph.items() if each["class_type"] == kind] for kind in OUTPUTS]
        slots["image"] = Slot(_only("image", next(filter(None, outputs), [])), "")
    if "prompt" not in slots and (prompt := _prompt(graph)):
        slots["prompt"] = prompt
    return slots


def _refuse_replaced(graph: Graph, layout: Slot) -> None:
    """Raises WorkflowError if links of the layout node replace the layout that is filled in."""
    inputs = graph[layout.node]["inputs"]
    links = [name for name in REPLACING if isinstance(inputs.get(name), list)]
    if graph[layout.node]["class_type"] == LAYOUT_NODE and links:
        raise WorkflowError(
            f"Node {layout.node} ({LAYOUT_NODE}) has a link at {', '.join(links)}, which replaces the "
            "layouts of the benchmark. Remove the link."
        )


def find_input(graph: Graph, place: str) -> Slot:
    """The input at ``NODE.INPUT``. Raises WorkflowError if there is none."""
    node, dot, key = place.rpartition(".")
    if not dot:
        raise WorkflowError(
            f"{place!r} is not an input; write NODE.INPUT, for example KSampler.seed or 13.seed."
        )
    number = _node(graph, node)
    inputs = graph[number]["inputs"]
    if key not in inputs:
        raise WorkflowError(
            f"Node {number} ({graph[number]['class_type']}) has no input {key}; it has {', '.join(inputs)}."
        )
    return Slot(number, key)


def _node(graph: Graph, name: str) -> str:
    """The id of a node, from its id or its class."""
    if name in graph:
        return name
    nodes = [node for node, each in graph.items() if each["class_type"] == name]
    if len(nodes) != 1:
        found = (
            f"{len(nodes)} nodes of that class ({', '.join(nodes)}); give an id" if nodes else "no such node"
        )
        classes = ", ".join(sorted({node["class_type"] for node in graph.values()}))
        raise WorkflowError(f"{name}: the workflow has {found}. Its classes are {classes}.")
    return nodes[0]


def _only(name: str, found: Sequence[str]) -> str:
    """The only candidate for a slot. Raises WorkflowError if there is none, or more than one."""
    if len(found) != 1:
        candidates = f"{len(found)} candidates ({', '.join(found)})" if found else "no candidate"
        example = "image=NODE" if name == "image" else f"{name}=NODE.INPUT"
        raise WorkflowError(
            f"The workflow has {candidates} for the slot {name}. Choose one with --slot {example}."
        )
    return found[0]


def _prompt(graph: Graph) -> Slot | None:
    """The text input that the first ``positive`` input leads back to; None if it is linked."""
    node = next(
        (
            each["inputs"]["positive"][0]
            for each in graph.values()
            if isinstance(each["inputs"].get("positive"), list)
        ),
        None,
    )
    seen = set()
    while node in graph and node not in seen:
        seen.add(node)
        inputs = graph[node]["inputs"]
        if "text" in inputs:
            return Slot(node, "text") if isinstance(inputs["text"], str) else None
        links = [
            value[0]
            for key, value in inputs.items()
            if key in ("positive", "conditioning") and isinstance(value, list)
        ]
        node = links[0] if links else None
    return None


def _value(text: str) -> Any:
    """The text parsed as JSON, or itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
