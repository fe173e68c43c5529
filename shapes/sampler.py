"""Samples scenes deterministically from a seed and an index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from .descriptions import caption, local_description, pick, shuffled
from .drawing import pixel_centers, silhouette
from .scene import BACKGROUNDS, COLOURS, PATTERNS, SHAPES, Attributes, Figure, Scene, palette_order

HELD_OUT = range(10_000)  # scene indices reserved for evaluation
TRAINING = range(10_000, 2**31)  # scene indices for training

BOXES_TRIED = 40  # candidate boxes per figure before the attempt fails
ATTEMPTS = 200  # attempts per scene
SHRINKING = 0.9  # factor on the longest side after each failed attempt

# The names that a world may choose from, by its field.
NAMES = {"shapes": SHAPES, "colours": COLOURS, "patterns": PATTERNS, "backgrounds": BACKGROUNDS}

PixelBox = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels; x1, y1 exclusive


@dataclass(frozen=True)
class World:
    """The distribution of scenes.

    seed: combined with the index of a scene.
    size: side of the picture in pixels.
    instances: minimum and maximum number of figures.
    sides: shortest and longest side of a box, as fractions of ``size``; more figures are smaller.
    aspect: maximum ratio of the longer to the shorter side of a box.
    visible: fraction of each figure that must stay visible.
    crowding: number of valid candidates per figure, the one with the most overlap wins; 1 = no
        preference, 8 = heavy overlap.
    shared: overlapping figures share no colour; boxes that overlap by at most this many pixels in one
        direction may.
    shapes: names out of SHAPES.
    colours: names out of COLOURS.
    patterns: names out of PATTERNS.
    backgrounds: names out of BACKGROUNDS.
    """

    seed: int = 0
    size: int = 128
    instances: tuple[int, int] = (1, 6)
    sides: tuple[float, float] = (28 / 128, 88 / 128)
    aspect: float = 1.6
    visible: float = 0.6
    crowding: int = 1
    shapes: tuple[str, ...] = SHAPES
    colours: tuple[str, ...] = tuple(COLOURS)
    patterns: tuple[str, ...] = PATTERNS
    backgrounds: tuple[str, ...] = tuple(BACKGROUNDS)
    shared: int = 0

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("size", 1), ("aspect", 1), ("crowding", 1), ("shared", 0)):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {least}.")
        if not 0 <= self.visible <= 1:
            raise ValueError(f"visible is {self.visible}; expected 0 to 1.")
        if not 0 <= self.instances[0] <= self.instances[1]:
            raise ValueError(
                f"instances is {list(self.instances)}; expected the minimum, at least 0, then the maximum."
            )
        if not 0 < self.sides[0] <= self.sides[1] <= 1:
            raise ValueError(
                f"sides is {list(self.sides)}; expected the shortest, above 0, then the longest, at most 1."
            )
        for name, known in NAMES.items():
            given = getattr(self, name)
            if not given or len(set(given)) < len(given) or not set(given) <= set(known):
                raise ValueError(
                    f"{name} is {list(given)}; expected different ones of {', '.join(known)}, at least one."
                )


@dataclass(frozen=True)
class _Candidate:
    """A valid position of the next figure.

    attributes: appearance of the figure.
    box: its box in pixels.
    owners: (size, size), int64, the visible figure at each pixel after placement; -1 = background.
    hidden: pixels of other figures that are hidden after placement.
    """

    attributes: Attributes
    box: PixelBox
    owners: NDArray[np.int64]
    hidden: int


def sample_scene(world: World, index: int) -> Scene:
    """The scene of an index, deterministically sampled from ``world.seed`` and the index.

    Raises ValueError if the world leaves no room for its figures.
    """
    rng = Generator(PCG64(SeedSequence([world.seed, index])))
    background = pick(rng, world.backgrounds)
    count = pick(rng, range(world.instances[0], world.instances[1] + 1))
    longest = min(world.sides[1], 1.2 / math.sqrt(max(count, 1)))
    for _ in range(ATTEMPTS):
        arrangement = _arrange(world, count, longest, rng)
        if len(arrangement) == count:
            break
        longest = max(longest * SHRINKING, world.sides[0])
    else:
        raise ValueError(
            f"No room for {count} figures in {world}. Ask for fewer or smaller figures, allow more "
            "colours, or lower `visible`."
        )
    figures = tuple(
        Figure(chosen.attributes, chosen.box, local_description(chosen.attributes, rng))
        for chosen in arrangement
    )
    text = caption([figure.attributes.shape for figure in figures], background, rng)
    return Scene(world.size, background, figures, text)


def _arrange(world: World, count: int, longest: float, rng: Generator) -> list[_Candidate]:
    """Place figures from back to front; fewer than ``count`` if one has no valid position."""
    arrangement: list[_Candidate] = []
    owners: NDArray[np.int64] = np.full((world.size, world.size), -1, np.int64)
    areas: list[int] = []  # silhouette area of each figure in pixels
    for number in range(count):
        shape, pattern = pick(rng, world.shapes), pick(rng, world.patterns)
        candidates: list[_Candidate] = []
        for _ in range(BOXES_TRIED):
            # Overlapping figures share no colour, so that edges stay visible.
            box = _sample_box(world, longest, rng)
            neighbors = [
                placed.attributes for placed in arrangement if _overlap(placed.box, box, world.shared)
            ]
            attributes = _sample_attributes(world, shape, pattern, neighbors, rng)
            candidate = attributes and _candidate(world, attributes, box, number, owners, areas)
            if candidate:
                candidates.append(candidate)
            if len(candidates) == world.crowding:
                break
        if not candidates:
            break
        chosen = max(candidates, key=lambda candidate: candidate.hidden)
        owners = chosen.owners
        areas.append(int((owners == number).sum()))
        arrangement.append(chosen)
    return arrangement


def _sample_box(world: World, longest: float, rng: Generator) -> PixelBox:
    """A box of any allowed size and aspect ratio, anywhere in the picture."""
    low, high = (round(side * world.size) for side in (world.sides[0], longest))
    side = low + (high - low) * rng.random()
    stretch = math.sqrt(1 + (world.aspect - 1) * rng.random())
    sides = shuffled(rng, (side * stretch, side / stretch))
    width, height = (min(max(round(length), low), high) for length in sides)
    x0, y0 = (pick(rng, range(world.size - length + 1)) for length in (width, height))
    return x0, y0, x0 + width, y0 + height


def _sample_attributes(
    world: World, shape: str, pattern: str, neighbors: list[Attributes], rng: Generator
) -> Attributes | None:
    """Attributes with no colour of a neighbor; None if too few colours are left."""
    taken = {colour for neighbor in neighbors for colour in neighbor.colours}
    wanted = 1 if pattern == "plain" else 2
    colours = shuffled(rng, (colour for colour in world.colours if colour not in taken))[:wanted]
    if len(colours) < wanted:
        return None
    if pattern == "checkered":
        colours = list(palette_order(*colours))
    return Attributes(shape, colours[0], pattern, colours[1] if len(colours) > 1 else None)


def _candidate(
    world: World,
    attributes: Attributes,
    box: PixelBox,
    number: int,
    owners: NDArray[np.int64],
    areas: list[int],
) -> _Candidate | None:
    """The figure in front of those already placed; None if it hides too much of one of them."""
    x0, y0, x1, y1 = box
    mask = silhouette(attributes.shape, pixel_centers(x1 - x0), pixel_centers(y1 - y0))
    owners_after = owners.copy()
    owners_after[y0:y1, x0:x1][mask] = number
    # Visible pixels of each figure; bin 0 is the background.
    visible = np.bincount(owners_after.ravel() + 1, minlength=number + 2)[1:]
    if any(visible[other] < world.visible * area for other, area in enumerate(areas)):
        return None
    return _Candidate(attributes, box, owners_after, sum(areas) - int(visible[:number].sum()))


def _overlap(a: PixelBox, b: PixelBox, more_than: int = 0) -> bool:
    """Whether boxes overlap by more than this many pixels in both directions."""
    return all(min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis]) > more_than for axis in (0, 1))
