"""An API-format workflow and the slots in it that differ from picture to picture."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ifadapter_core.layout import Layout
from ifadapter_core.layout_formats import to_json

Graph = dict[str, dict[str, Any]]

LAYOUT_NODE = "IFAdapterLayout"
SEEDS = ("seed", "noise_seed")
OUTPUTS = ("SaveImage", "PreviewImage")  # the first kind that the workflow has
SLOTS = ("layout", "width", "height", "seed", "prompt", "image")


class Slot(NamedTuple):
    """An input of a node. Of the slot ``image``, which is an output node's, the input does not matter."""

    node: str
    input: str


class WorkflowError(ValueError):
    """The workflow has no such slot, or more than one."""


@dataclass(frozen=True)
class Workflow:
    """slots: of ``SLOTS``, those that the workflow has; ``layout``, ``seed`` and ``image`` always."""

    graph: Graph
    slots: Mapping[str, Slot]

    def fill(self, layout: Layout, seed: int) -> Graph:
        """The graph for one picture."""
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
    """Read a workflow in API format.

    slots: ``NAME=NODE.INPUT`` in place of what is found (see ``find_slots``). settings: ``NODE.INPUT=VALUE``, VALUE in JSON or
    plain words, for the whole run. NODE: an id, or a class of which there is one node.
    Raises WorkflowError that names what is missing or not clear.
    """
    try:
        graph = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        ours = "Those of this pack are in workflows/api/, for example workflows/api/place_things_with_boxes.json."
        raise WorkflowError(f"There is no workflow {path}. {ours}") from error
    except ValueError as error:
        raise WorkflowError(f"{path} is not JSON: {error}") from error
    if not isinstance(graph, dict) or not all(
        isinstance(node, dict) and {"class_type", "inputs"} <= node.keys() for node in graph.values()
    ):
        raise WorkflowError(
            f"{path} is no workflow in API format. In ComfyUI, save it by File > Export (API)."
        )
    for setting in settings:
        place, equals, value = setting.partition("=")
        if not equals:
            raise WorkflowError(
                f"{setting!r} is no setting; write NODE.INPUT=VALUE, as in KSampler.steps=30."
            )
        node, key = find_input(graph, place)
        graph[node]["inputs"][key] = _value(value)
    given = {}
    for slot in slots:
        name, equals, place = slot.partition("=")
        if not equals or name not in SLOTS:
            raise WorkflowError(
                f"{slot!r} is no slot; write NAME=NODE.INPUT with NAME one of {', '.join(SLOTS)}."
            )
        given[name] = Slot(_node(graph, place), "") if name == "image" else find_input(graph, place)
    return Workflow(graph, find_slots(graph, given))


def find_slots(graph: Graph, given: Mapping[str, Slot]) -> dict[str, Slot]:
    """The slots of a workflow; those in ``given`` are not looked for.

    layout, width, height: inputs of the one ``IFAdapterLayout`` node. seed: the one input named ``seed`` or ``noise_seed`` that holds
    a number. prompt: the ``text`` of the node that the sampler's ``positive`` comes from, if words are written there; in our
    workflows the layout node is linked to it, and there is no slot. image: the one ``SaveImage`` node, or else the one
    ``PreviewImage`` node.
    """
    slots = dict(given)
    if "layout" not in slots:
        slots["layout"] = Slot(
            _only("layout", [node for node, each in graph.items() if each["class_type"] == LAYOUT_NODE]),
            "layout",
        )
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


def find_input(graph: Graph, place: str) -> Slot:
    """``NODE.INPUT`` as a slot."""
    node, dot, key = place.rpartition(".")
    if not dot:
        raise WorkflowError(f"{place!r} is no input; write NODE.INPUT, as in KSampler.seed or 13.seed.")
    number = _node(graph, node)
    if key not in graph[number]["inputs"]:
        raise WorkflowError(
            f"Node {number} ({graph[number]['class_type']}) has no input {key}; it has {', '.join(graph[number]['inputs'])}."
        )
    return Slot(number, key)


def _node(graph: Graph, name: str) -> str:
    if name in graph:
        return name
    nodes = [node for node, each in graph.items() if each["class_type"] == name]
    if len(nodes) != 1:
        found = (
            f"{len(nodes)} nodes of that class ({', '.join(nodes)}); name one by its id"
            if nodes
            else "no such node"
        )
        raise WorkflowError(
            f"{name}: the workflow has {found}. Its classes are {', '.join(sorted({n['class_type'] for n in graph.values()}))}."
        )
    return nodes[0]


def _only(name: str, found: Sequence[str]) -> str:
    if len(found) != 1:
        places = f"{len(found)} places for it ({', '.join(found)})" if found else "no place for it"
        example = "image=NODE" if name == "image" else f"{name}=NODE.INPUT"
        raise WorkflowError(f"The workflow has {places}: the slot {name}. Name one with --slot {example}.")
    return found[0]


def _prompt(graph: Graph) -> Slot | None:
    """Where a positive prompt is written out, going back from the first ``positive`` input."""
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
    try:
        return json.loads(text)
    except ValueError:
        return text
