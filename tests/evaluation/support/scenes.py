"""Scripted detectors and verifiers, and drawings of a small world that is judged fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from evaluation.judge.picture_score import InstanceScore, PictureScore
from evaluation.judge.verifier import Verdict
from ifadapter_core.checking.matching import Detection
from ifadapter_core.layout import Box, Instance, Layout
from shapes.drawing import draw
from shapes.sampler import World, sample_scene
from shapes.scene import COLOURS, SHAPES, Attributes, Figure, Scene, palette_order

WORLD = World(size=64, instances=(1, 2), sides=(0.35, 0.6))

# Layouts by the overlap of their boxes, back to front.
BACK, FRONT, ASIDE = Box(0.0, 0.0, 0.5, 0.5), Box(0.25, 0.0, 1.0, 0.5), Box(0.6, 0.6, 0.9, 0.9)
SWEEP_BOXES = {
    "none": (ASIDE, BACK),
    "half": (BACK, FRONT),
    "three": (BACK, FRONT, ASIDE),
    "alone": (ASIDE,),
}


class ScriptedDetector:
    """Returns the same detections for every picture: (box, score, phrase text)."""

    name = "scripted"

    def __init__(self, *found: tuple[tuple[float, float, float, float], float, str]) -> None:
        self.found = found
        self.asked: list[list[str]] = []

    def detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        self.asked.append(list(phrases))
        return [
            Detection(box, score, phrases.index(words))
            for box, score, words in self.found
            if words in phrases
        ]


class ScriptedVerifier:
    """Looks its answer up by the description, and records the sizes of the crops."""

    def __init__(self, name: str = "scripted", **answers: bool | None) -> None:
        self.name = name
        self.answers = answers
        self.crops: list[tuple[int, int]] = []

    def verify(self, crop: Image.Image, description: str) -> Verdict:
        self.crops.append(crop.size)
        return Verdict(self.answers[description])


def layout(*instances: tuple[tuple[float, float, float, float], str], size: int = 100) -> Layout:
    """A layout of (box in pixels, description)."""
    parts = tuple(Instance(Box(*(edge / size for edge in box)), words) for box, words in instances)
    return Layout(size, size, parts, "a picture")


def instance(
    verdict: bool | None = True,
    found: bool = True,
    verifier: str = "v",
    description: str = "a thing",
) -> InstanceScore:
    """The score of one instance."""
    verdicts = {verifier: verdict} if found else {}
    return InstanceScore(
        (10, 10, 50, 50), description, 0, 0 if found else None, 1.0 if found else 0.0, verdicts, {}
    )


def picture_score(name: str, *instances: InstanceScore) -> PictureScore:
    """The score of a picture with one detection, shared by all instances."""
    return PictureScore(name, "", (100, 100), (Detection((10, 10, 50, 50), 0.9, 0),), instances)


def altered(drawn: Scene, fraction: float, rng: np.random.Generator) -> Scene:
    """A scene with a fraction of its figures changed.

    Half of these get another shape, so that they are not found, the others another colour.
    """
    figures = tuple(
        _other(figure, rng.random() < 0.5) if rng.random() < fraction else figure for figure in drawn.figures
    )
    return replace(drawn, figures=figures)


def write_drawings(folder: Path, count: int, fraction: float, world: World = WORLD) -> Path:
    """Write ``NAME.png`` of the first scenes, with a fraction of the figures altered."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.Generator(np.random.PCG64(1))
    for index in range(count):
        Image.fromarray(draw(altered(sample_scene(world, index), fraction, rng))).save(
            folder / f"{index:05d}.png"
        )
    return folder


def _other(figure: Figure, in_shape: bool) -> Figure:
    """The figure with another shape, or else another colour."""
    old = figure.attributes
    if in_shape:
        return replace(
            figure,
            attributes=replace(old, shape=SHAPES[(SHAPES.index(old.shape) + 1) % len(SHAPES)]),
        )
    colours = [next(colour for colour in COLOURS if colour not in old.colours), *old.colours[1:]]
    if old.pattern == "checkered":
        colours = list(palette_order(*colours))
    return replace(
        figure,
        attributes=Attributes(old.shape, colours[0], old.pattern, colours[1] if len(colours) > 1 else None),
    )
