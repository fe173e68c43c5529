"""Scenes with a given overlap: pairs of one IoU, and stacks. Sampled from a seed and an index."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import PCG64, Generator, SeedSequence

from ifadapter_core.geometry import box_iou

from ...descriptions import caption, local_description, pick, shuffled
from ...sampler import PixelBox, World
from ...scene import Attributes, Figure, Scene, palette_order

PAIRS, STACKS = 1, 2  # tell the random streams of the two apart, and from those of ``sample_scene``
PAIR_SIDES = (48, 64)  # pixels; large enough for exact overlaps in whole pixels
STACK_SIDE, STACK_STEP = 50, 17  # pixels: an IoU of 0.28 of neighbours, and none beyond the second
IOU_TOLERANCE = 0.01
ATTEMPTS = 2000


def pair_scene(world: World, iou: float, index: int) -> Scene:
    """Two figures of one size whose boxes have an IoU, to 0.01; the second is in front.

    Raises ValueError if there is no such pair.
    """
    rng = Generator(PCG64(SeedSequence([world.seed, PAIRS, round(100 * iou), index])))
    for _ in range(ATTEMPTS):
        side = PAIR_SIDES[0] + int(rng.random() * (PAIR_SIDES[1] - PAIR_SIDES[0] + 1))
        first = _anywhere(rng, side, world.size)
        second = _anywhere(rng, side, world.size) if iou == 0 else _moved(rng, first, iou)
        inside = min(second) >= 0 and max(second) <= world.size
        if inside and abs(box_iou(first, second) - iou) <= IOU_TOLERANCE:
            return _scene(world, (first, second), rng)
    raise ValueError(f"No pair of boxes with an IoU of {iou} was found in {ATTEMPTS} attempts.")


def stack_scene(world: World, figures: int, index: int) -> Scene:
    """Figures on a diagonal, each in front of the one before, with an IoU of 0.28 with its neighbours.

    Raises ValueError for more figures than fit.
    """
    rng = Generator(PCG64(SeedSequence([world.seed, STACKS, figures, index])))
    room = world.size - STACK_SIDE - STACK_STEP * (figures - 1)
    if room < 0:
        raise ValueError(f"A stack of {figures} figures does not fit; expected fewer.")
    corner = [int(rng.random() * (room + 1)) for _ in range(2)]
    starts = [[edge + STACK_STEP * number for edge in corner] for number in range(figures)]
    if rng.random() < 0.5:  # the other diagonal
        starts = [[world.size - STACK_SIDE - x, y] for x, y in starts]
    if rng.random() < 0.5:  # the front at the other end
        starts.reverse()
    return _scene(world, [(x, y, x + STACK_SIDE, y + STACK_SIDE) for x, y in starts], rng)


def _anywhere(rng: Generator, side: int, size: int) -> PixelBox:
    x, y = (int(rng.random() * (size - side + 1)) for _ in range(2))
    return x, y, x + side, y + side


def _moved(rng: Generator, box: PixelBox, iou: float) -> PixelBox:
    """The box, moved in a random direction until its overlap with itself is about this IoU."""
    side = box[2] - box[0]
    shared = 2 * iou / (1 + iou)  # fraction of each box
    along = 1 - shared ** rng.random()  # of one axis; the other one gives the rest
    across = 1 - shared / (1 - along)
    x, y = (round(side * part) * pick(rng, (-1, 1)) for part in (along, across))
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def _scene(world: World, boxes: Sequence[PixelBox], rng: Generator) -> Scene:
    """Overlapping figures share no colour, as in training."""
    attributes = _attributes(world, boxes, rng)
    figures = tuple(
        Figure(each, box, local_description(each, rng)) for each, box in zip(attributes, boxes, strict=True)
    )
    background = pick(rng, world.backgrounds)
    text = caption([each.shape for each in attributes], background, rng)
    return Scene(world.size, background, figures, text)


def _attributes(world: World, boxes: Sequence[PixelBox], rng: Generator) -> list[Attributes]:
    for _ in range(ATTEMPTS):
        chosen: list[Attributes] = []
        for number, box in enumerate(boxes):
            taken = {
                colour
                for other, one in zip(boxes[:number], chosen, strict=True)
                if box_iou(other, box) > 0
                for colour in one.colours
            }
            colours = shuffled(rng, (colour for colour in world.colours if colour not in taken))
            shape, pattern = pick(rng, world.shapes), pick(rng, world.patterns)
            wanted = 1 if pattern == "plain" else 2
            if len(colours) < wanted:
                break
            names = colours[:wanted] if pattern != "checkered" else palette_order(*colours[:wanted])
            chosen.append(Attributes(shape, names[0], pattern, names[1] if wanted == 2 else None))
        if len(chosen) == len(boxes):
            return chosen
    raise ValueError(f"There are too few colours for {len(boxes)} overlapping figures.")
