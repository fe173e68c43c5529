"""The world that scenes come from: where figures may stand, and how they are drawn by lot from a seed and an index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from .descriptions import caption, local_description, pick, shuffled
from .drawing import pixel_centres, silhouette
from .scene import BACKGROUNDS, COLOURS, PATTERNS, SHAPES, Attributes, Figure, Scene, palette_order

HELD_OUT = range(10_000)  # indices of the scenes that no training may see
TRAINING = range(10_000, 2**31)

PLACES_TRIED = 40  # for each figure, before the scene is begun anew with smaller figures
SHRINKING = 0.9
ATTEMPTS = 200

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels


@dataclass(frozen=True)
class World:
    """What scenes may look like.

    size: pixels along each side of the picture.
    instances: fewest and most figures.
    sides: shortest and longest side of a box, as parts of ``size``; many figures in one picture are smaller.
    aspect: the longer side of a box over the shorter one, at most.
    visible: the part of each figure that no other may hide.
    crowding: each figure takes that of so many places where it overlaps most; 1 = by lot, 8 = heavy overlap.
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


@dataclass(frozen=True)
class _Place:
    """Where a figure could stand: its looks, its box, the owners of all pixels then, and how many pixels it hides."""

    attributes: Attributes
    box: Box
    owners: NDArray[np.int64]
    hidden: int


def sample_scene(world: World, index: int) -> Scene:
    """The scene of this index, always the same."""
    rng = Generator(PCG64(SeedSequence([world.seed, index])))
    background = pick(rng, world.backgrounds)
    count = pick(rng, range(world.instances[0], world.instances[1] + 1))
    longest = min(world.sides[1], 1.2 / math.sqrt(max(count, 1)))
    for _ in range(ATTEMPTS):
        places = _arrange(world, count, longest, rng)
        if len(places) == count:
            break
        longest = max(longest * SHRINKING, world.sides[0])
    else:
        raise ValueError(
            f"No room for {count} figures in {world}. Ask for fewer or smaller ones, or allow more colours or less sight."
        )
    figures = tuple(
        Figure(place.attributes, place.box, local_description(place.attributes, rng)) for place in places
    )
    return Scene(
        world.size,
        background,
        figures,
        caption([figure.attributes.shape for figure in figures], background, rng),
    )


def _arrange(world: World, count: int, longest: float, rng: Generator) -> list[_Place]:
    """Places for figures from back to front: ``count`` of them, or fewer when there was no room."""
    places: list[_Place] = []
    owners = np.full((world.size, world.size), -1)  # the number of the figure that is seen there
    areas: list[int] = []
    for number in range(count):
        shape, pattern = pick(rng, world.shapes), pick(rng, world.patterns)
        found: list[_Place] = []
        for _ in range(PLACES_TRIED):
            box = _box(world, longest, rng)
            attributes = _coloured(
                world, shape, pattern, [place.attributes for place in places if _meet(place.box, box)], rng
            )
            place = attributes and _place(world, attributes, box, number, owners, areas)
            if place:
                found.append(place)
            if len(found) == world.crowding:
                break
        if not found:
            break
        best = max(found, key=lambda place: place.hidden)
        owners = best.owners
        areas.append(int((owners == number).sum()))
        places.append(best)
    return places


def _box(world: World, longest: float, rng: Generator) -> Box:
    """A box of any size and aspect ratio allowed, anywhere in the picture."""
    low, high = (round(side * world.size) for side in (world.sides[0], longest))
    side = low + (high - low) * rng.random()
    stretch = math.sqrt(1 + (world.aspect - 1) * rng.random())
    sides = shuffled(rng, (side * stretch, side / stretch))
    width, height = (min(max(round(length), low), high) for length in sides)
    x0, y0 = (pick(rng, range(world.size - length + 1)) for length in (width, height))
    return x0, y0, x0 + width, y0 + height


def _coloured(
    world: World, shape: str, pattern: str, neighbours: list[Attributes], rng: Generator
) -> Attributes | None:
    """Attributes without a colour of the neighbours, so that edges stay visible; None if too few colours are left."""
    taken = {colour for neighbour in neighbours for colour in neighbour.colours}
    colours = shuffled(rng, (colour for colour in world.colours if colour not in taken))[
        : 1 if pattern == "plain" else 2
    ]
    if len(colours) < (1 if pattern == "plain" else 2):
        return None
    if pattern == "checkered":
        colours = list(palette_order(*colours))
    return Attributes(shape, colours[0], pattern, colours[1] if len(colours) > 1 else None)


def _place(
    world: World, attributes: Attributes, box: Box, number: int, owners: NDArray[np.int64], areas: list[int]
) -> _Place | None:
    """The figure in front of those that stand already, or None if it would hide too much of one."""
    x0, y0, x1, y1 = box
    mask = silhouette(attributes.shape, pixel_centres(x1 - x0), pixel_centres(y1 - y0))
    after = owners.copy()
    after[y0:y1, x0:x1][mask] = number
    seen = np.bincount(after.ravel() + 1, minlength=number + 2)[1:]
    if any(seen[other] < world.visible * area for other, area in enumerate(areas)):
        return None
    return _Place(attributes, box, after, sum(areas) - int(seen[:number].sum()))


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
