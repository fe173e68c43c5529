"""The layout of the quickstart workflow at several seeds: what a newcomer sees first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ifadapter_core.layout import Layout
from ifadapter_core.layout_formats import from_json
from ifadapter_diffusers.contact_sheet import comparison
from ifadapter_diffusers.painter import METHODS, Painter
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import unit_noise

from ..descriptions import read_scene
from ..drawing import Pixels
from ..scene import Scene
from .picture_score import score_instances
from .rows import FULL

SEEDS = range(1, 9)
NODE = "IFAdapterLayout"  # class of the workflow's node with the layout


def read_workflow_scene(path: Path) -> Scene:
    """The scene of the layout in a workflow in API format.

    Raises ValueError, naming the file, if it has no layout, or an instance that the judge does not know.
    """
    try:
        nodes = json.loads(path.read_text("utf-8")).values()
        inputs = next(node["inputs"] for node in nodes if node["class_type"] == NODE)
        layout = from_json(inputs["layout"], inputs["width"], inputs["height"])
        scene = read_scene(layout)
    except (StopIteration, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} has no {NODE} node with a layout; expected a workflow in API format."
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if len(scene.figures) < len(layout.instances):
        raise ValueError(
            f"{path}: {len(layout.instances) - len(scene.figures)} of its descriptions name no figure "
            f"of the drawn world: {'; '.join(layout.local_descriptions)}."
        )
    return scene


def paint_seeds(painter: Painter, layout: Layout, seeds: Sequence[int]) -> Pixels:
    """A layout's pictures by the whole adapter, one for each seed: (seeds, H, W, 3)."""
    noise = [unit_noise(painter.base, [layout], seeded_generator(seed, 0)) for seed in seeds]
    return painter.paint_from(METHODS[FULL], [layout] * len(seeds), torch.cat(noise))


def score_seeds(pictures: Pixels, scene: Scene, seeds: Sequence[int]) -> dict[str, Any]:
    """The number of instances judged right and drawn well at each seed.

    all_right, all_drawn_well: numbers of seeds with all instances so.
    """
    scores = [score_instances(picture, scene) for picture in pictures]
    right = [sum(one.verdict.success for one in score) for score in scores]
    good = [sum(one.drawn_well for one in score) for score in scores]
    return {
        "descriptions": [figure.local_description for figure in scene.figures],
        "seeds": list(seeds),
        "right": right,
        "drawn_well": good,
        "all_right": sum(count == len(scene.figures) for count in right),
        "all_drawn_well": sum(count == len(scene.figures) for count in good),
    }


def seed_sheet(layout: Layout, pictures: Pixels, seeds: Sequence[int]) -> Image.Image:
    """One row: the layout, then its picture at each seed."""
    columns = {f"seed {seed}": picture[None] for seed, picture in zip(seeds, pictures, strict=True)}
    return comparison([layout], columns)
