"""Finds the figure that explains best what a picture shows near a box: all shapes, patterns and pairs of colours are compared
with it, in many places. Knows nothing of what was meant to be there.

All is measured as overlap, 0..1: what a drawing and the picture share, over the drawing together with what the picture
shows of the same colours around it. Boxes are x0, y0, x1, y1 in pixels; arrays of them are float32 (K, 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..drawing import Mask, silhouette
from ..scene import COLOURS, PATTERNS, SHAPES, Attributes, palette_order
from .templates import COARSE, FINE, Floats, Grid, drawings, ious, candidate_boxes

REFINED = 2  # so many shapes are fitted closely
STEPS = (0.08, 0.08, 0.06, 0.04, 0.03, 0.02, 0.01)  # by which an edge is moved, in parts of the box's sides
MOVES = np.concatenate([np.zeros((1, 4)), np.eye(4), -np.eye(4)]).astype(
    np.float32
)  # (9, 4): none, then one edge at a time
FOREIGN = 0.15  # what a pixel around a drawing counts that is neither background nor of its colours
NEARNESS = 0.2  # what a place loses that lies far from the box that was asked for
RIM = 1.0  # pixels around a figure that belong neither to it nor to what stands behind
LITTLE = 1.0  # cells; keeps what is hardly seen from counting as explained

NAMES = list(COLOURS)
GROUND, WEIGHT = len(NAMES), len(NAMES) + 1  # channels of what is seen, after those of the colours
FIRST, SECOND = np.triu_indices(len(NAMES))  # all pairs of colours, each with itself too
ALLOWED = np.stack([np.eye(len(NAMES))] + [1 - np.eye(len(NAMES))] * (len(PATTERNS) - 1)).astype(
    np.float32
)  # (patterns, 8, 8)


@dataclass(frozen=True)
class Fit:
    """A figure as it was found: its looks, its box in pixels and how well it explains the picture, up to 1."""

    attributes: Attributes
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class _View:
    """What is seen (H, W, 10): the colours, the background and 1, all 0 where something is in front; the box asked for (4,)."""

    seen: Floats
    wanted: Floats
    nearness: float

    def losses(self, boxes: Floats) -> Floats:
        """What places (K, 4) lose by being far from the box that was asked for: (K)."""
        return (self.nearness * (1 - ious(boxes, self.wanted))).astype(np.float32)


@dataclass(frozen=True)
class _Look:
    """One way to explain a box (4,): numbers of a shape, a pattern, the main and the pattern colour (the same for plain)."""

    shape: int
    pattern: int
    colour: int
    pattern_colour: int
    box: Floats
    score: float

    @property
    def attributes(self) -> Attributes:
        pattern = PATTERNS[self.pattern]
        names: tuple[str, ...] = (NAMES[self.colour], NAMES[self.pattern_colour])
        if pattern == "checkered":
            names = palette_order(*names)
        return Attributes(SHAPES[self.shape], names[0], pattern, None if pattern == "plain" else names[1])


def fit(maps: Floats, hidden: Mask, box: Sequence[float], nearness: float = NEARNESS) -> Fit:
    """The figure that explains best what is seen around a box.

    maps (H, W, 9): how well each pixel goes with each colour and the background. hidden (H, W): pixels in which
    something stands in front, so that they say nothing. nearness: what a place loses that lies far from the box.
    """
    weight = (~hidden).astype(np.float32)[..., None]
    view = _View(np.concatenate([maps * weight, weight], -1), np.asarray(box, np.float32), nearness)
    best = sorted(_explain(view, _silhouettes(view)), key=lambda look: look.score)[-REFINED:]
    refined = np.array([_refine(view, look) for look in best])
    final = max(_explain(view, refined), key=lambda look: look.score)
    x0, y0, x1, y1 = map(float, final.box)
    return Fit(final.attributes, (x0, y0, x1, y1), final.score)


def covered(found: Fit, height: int, width: int) -> Mask:
    """The pixels of a picture (height, width) that a figure covers, with a narrow rim."""
    x0, y0, x1, y1 = found.box
    u = (np.arange(0.5, width) - x0 + RIM) / (x1 - x0 + 2 * RIM)
    v = (np.arange(0.5, height) - y0 + RIM) / (y1 - y0 + 2 * RIM)
    return silhouette(found.attributes.shape, u, v)


def sample(maps: Floats, boxes: Floats, grid: Grid) -> Floats:
    """Means of maps (H, W, C) over the cells of the grid on each box (K, 4): (K, n * n, C). Outside the picture is 0."""
    (top, rows), (left, columns) = (
        _shares(
            boxes[:, low, None] + (boxes[:, low + 2] - boxes[:, low])[:, None] * grid.edges,
            maps.shape[1 - low],
        )
        for low in (1, 0)
    )
    maps = maps[top : top + rows.shape[2], left : left + columns.shape[2]]
    bands = (rows.reshape(-1, rows.shape[2]) @ maps.reshape(rows.shape[2], -1)).reshape(
        len(boxes), grid.n, columns.shape[2], -1
    )
    return (columns[:, None] @ bands).reshape(len(boxes), grid.n**2, -1)


def _shares(edges: Floats, length: int) -> tuple[int, Floats]:
    """The parts of each interval between edges (K, n + 1) that lie in each pixel: the first pixel, and (K, n, pixels)."""
    first = int(np.clip(np.floor(edges.min()), 0, length - 1))
    last = int(np.clip(np.ceil(edges.max()), first + 1, length))
    pixels = np.arange(first, last, dtype=np.float32)
    low, high = edges[:, :-1, None], edges[:, 1:, None]
    return first, np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None) / (high - low)


def _silhouettes(view: _View) -> Floats:
    """For each shape the box in which its silhouette agrees best with the pixels of some two colours: (shapes, 4)."""
    bank = candidate_boxes()
    cells = sample(view.seen, view.wanted[None], COARSE)[0]
    pairs = np.maximum(cells[:, FIRST], cells[:, SECOND])  # (cells, 36)
    shared = bank.silhouettes @ pairs  # (shapes, T, 36)
    area = bank.silhouettes @ cells[:, WEIGHT, None]  # (shapes, T, 1)
    overlap = (shared / (area + bank.frames @ pairs - shared + LITTLE)).max(-1)
    best = (overlap - view.nearness * (1 - bank.nearness)).argmax(-1)
    origin, size = np.tile(view.wanted[:2], 2), np.tile(view.wanted[2:] - view.wanted[:2], 2)
    return origin + size * bank.boxes[best]


def _explain(view: _View, boxes: Floats) -> list[_Look]:
    """For each shape the box of (K, 4), the pattern and the colours that explain most."""
    figures = drawings()
    cells = sample(view.seen, boxes, FINE)  # (K, cells, 10)
    colours, ground, weight = cells[..., :GROUND], cells[..., GROUND, None], cells[..., WEIGHT, None]
    main, patterned = (
        (drawn @ colours[:, None]) for drawn in (figures.main, figures.patterned)
    )  # (K, shapes, patterns, 8)
    shared = main[..., :, None] + patterned[..., None, :]  # (K, shapes, patterns, 8, 8)
    around = (1 - figures.inside) @ _strange(
        np.maximum(cells[..., FIRST], cells[..., SECOND]), ground, weight
    )  # (K, shapes, 36)
    total = np.empty((*around.shape[:2], GROUND, GROUND), np.float32)
    total[..., FIRST, SECOND] = total[..., SECOND, FIRST] = around + figures.inside @ weight + LITTLE
    scores = ALLOWED * shared / total[:, :, None] - view.losses(boxes)[:, None, None, None, None]
    looks = []
    for shape in range(len(SHAPES)):
        place, pattern, colour, other = map(
            int, np.unravel_index(scores[:, shape].argmax(), scores[:, shape].shape)
        )
        looks.append(
            _Look(
                shape,
                pattern,
                colour,
                other,
                boxes[place],
                float(scores[place, shape, pattern, colour, other]),
            )
        )
    return looks


def _refine(view: _View, look: _Look) -> Floats:
    """The box (4,) of a look, each edge moved, by smaller and smaller steps, to where the same figure explains more."""
    figures = drawings()
    main, patterned = figures.main[look.shape, look.pattern], figures.patterned[look.shape, look.pattern]
    inside = figures.inside[look.shape]
    channels = view.seen[..., [look.colour, look.pattern_colour, GROUND, WEIGHT]]
    box = look.box
    for step in STEPS:
        reach = step * np.tile(box[2:] - box[:2], 2)
        boxes = box + MOVES * reach  # (9, 4)
        colour, other, ground, weight = np.moveaxis(sample(channels, boxes, FINE), -1, 0)  # (9, cells) each
        around = _strange(np.maximum(colour, other), ground, weight) @ (1 - inside)
        scores = (colour @ main + other @ patterned) / (weight @ inside + around + LITTLE) - view.losses(
            boxes
        )
        best = np.stack([np.tile(scores[0], 4), scores[1:5], scores[5:]]).argmax(
            0
        )  # for each edge: stay, add, subtract
        box = box + np.array([0, 1, -1], np.float32)[best] * reach
    return box


def _strange(own: Floats, ground: Floats, weight: Floats) -> Floats:
    """How much each cell speaks against being outside of a figure whose colours it shows to the extent of ``own``."""
    return own + FOREIGN * np.clip(weight - np.maximum(own, ground), 0, None)
