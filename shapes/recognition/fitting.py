"""Template matching: the figure that best explains the picture near an expected box.

Every shape, pattern and pair of colours is compared at many candidate boxes; the expected figure is
not known here. The score is an overlap, up to 1: the evidence that template and picture share,
divided by the template's area plus the evidence for the same colours around it. Boxes are x0, y0,
x1, y1 in pixels; arrays of boxes are float32 (K, 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..drawing import Mask, silhouette
from ..scene import COLOURS, PATTERNS, SHAPES, Attributes, palette_order
from .templates import COARSE, FINE, Floats, Grid, candidate_boxes, ious, templates

REFINED_SHAPES = 2  # number of best shapes whose boxes are refined
REFINEMENT_STEPS = (0.08, 0.08, 0.06, 0.04, 0.03, 0.02, 0.01)  # fractions of the box's sides
# (9, 4): no shift, then each edge by +1, then each edge by -1.
EDGE_SHIFTS = np.concatenate([np.zeros((1, 4)), np.eye(4), -np.eye(4)]).astype(np.float32)
FOREIGN_WEIGHT = 0.15  # of surrounding cells with neither the background nor the figure's colours
DISTANCE_PENALTY = 0.2  # maximum penalty of a box, at IoU 0 with the expected box
RIM_PX = 1.0  # antialiased rim around a figure that counts as part of it
SMOOTHING = 1.0  # cells; added to the denominator, so that barely visible figures score low

COLOUR_NAMES = list(COLOURS)
# Channels of the evidence after those of the colours.
BACKGROUND, VISIBLE = len(COLOUR_NAMES), len(COLOUR_NAMES) + 1
FIRST, SECOND = np.triu_indices(len(COLOUR_NAMES))  # the 36 unordered pairs of colours
# (patterns, 8, 8): 1 where a main and a pattern colour may be combined; equal for plain, different
# otherwise.
_EQUAL = np.eye(len(COLOUR_NAMES))
ALLOWED_COLOURS = np.stack([_EQUAL] + [1 - _EQUAL] * (len(PATTERNS) - 1)).astype(np.float32)


@dataclass(frozen=True)
class Fit:
    """A recognized figure.

    attributes: its appearance.
    box: its box in pixels.
    score: overlap with the evidence minus the distance penalty, up to 1.
    """

    attributes: Attributes
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class _Observation:
    """The visible evidence and the expected box.

    evidence: (H, W, 10): 8 colours, background and visibility; all channels are 0 at occluded
        pixels.
    expected_box: (4,) in pixels.
    distance_penalty: maximum penalty of a box, at IoU 0 with the expected box.
    """

    evidence: Floats
    expected_box: Floats
    distance_penalty: float

    def penalties(self, boxes: Floats) -> Floats:
        """Distance penalties of boxes (K, 4): (K,)."""
        return (self.distance_penalty * (1 - ious(boxes, self.expected_box))).astype(np.float32)


@dataclass(frozen=True)
class _Candidate:
    """A scored explanation of the evidence.

    shape: index into SHAPES.
    pattern: index into PATTERNS.
    colour: index of the main colour.
    pattern_colour: index of the pattern colour; equal to ``colour`` for the plain pattern.
    box: (4,) in pixels.
    score: as in Fit.
    """

    shape: int
    pattern: int
    colour: int
    pattern_colour: int
    box: Floats
    score: float

    @property
    def attributes(self) -> Attributes:
        pattern = PATTERNS[self.pattern]
        names: tuple[str, ...] = (COLOUR_NAMES[self.colour], COLOUR_NAMES[self.pattern_colour])
        if pattern == "checkered":
            names = palette_order(*names)
        return Attributes(SHAPES[self.shape], names[0], pattern, None if pattern == "plain" else names[1])


def fit(
    maps: Floats, occluded: Mask, box: Sequence[float], distance_penalty: float = DISTANCE_PENALTY
) -> Fit:
    """The figure that best explains the evidence near an expected box.

    maps: (H, W, 9), evidence for each colour and the background.
    occluded: (H, W), pixels behind a nearer figure; they are ignored.
    box: expected box in pixels.
    distance_penalty: maximum penalty of a box, at IoU 0 with the expected box.
    """
    visible = (~occluded).astype(np.float32)[..., None]
    evidence = np.concatenate([maps * visible, visible], -1)
    observation = _Observation(evidence, np.asarray(box, np.float32), distance_penalty)

    # Coarse search: one box per shape, then the best pattern and colours in it.
    candidates = _best_candidates(observation, _coarse_boxes(observation))
    # Fine search around the boxes of the best shapes; all shapes compete again in the refined
    # boxes.
    best = sorted(candidates, key=lambda candidate: candidate.score)[-REFINED_SHAPES:]
    refined = np.array([_refined_box(observation, candidate) for candidate in best])
    final = max(_best_candidates(observation, refined), key=lambda candidate: candidate.score)
    x0, y0, x1, y1 = map(float, final.box)
    return Fit(final.attributes, (x0, y0, x1, y1), final.score)


def covered_pixels(found: Fit, height: int, width: int) -> Mask:
    """Pixels of a picture that a figure covers, rim included: boolean (height, width)."""
    x0, y0, x1, y1 = found.box
    u = (np.arange(0.5, width) - x0 + RIM_PX) / (x1 - x0 + 2 * RIM_PX)
    v = (np.arange(0.5, height) - y0 + RIM_PX) / (y1 - y0 + 2 * RIM_PX)
    return silhouette(found.attributes.shape, u, v)


def cell_means(maps: Floats, boxes: Floats, grid: Grid) -> Floats:
    """Means of maps (H, W, C) over the cells of boxes (K, 4): (K, n * n, C). The outside is 0."""
    (top, rows), (left, columns) = (
        _pixel_weights(
            boxes[:, low, None] + (boxes[:, low + 2] - boxes[:, low])[:, None] * grid.edges,
            maps.shape[1 - low],
        )
        for low in (1, 0)
    )
    maps = maps[top : top + rows.shape[2], left : left + columns.shape[2]]
    bands = rows.reshape(-1, rows.shape[2]) @ maps.reshape(rows.shape[2], -1)
    bands = bands.reshape(len(boxes), grid.n, columns.shape[2], -1)
    return (columns[:, None] @ bands).reshape(len(boxes), grid.n**2, -1)


def _pixel_weights(edges: Floats, length: int) -> tuple[int, Floats]:
    """Pixel weights of intervals with edges (K, n + 1): first pixel, (K, n, pixels)."""
    first = int(np.clip(np.floor(edges.min()), 0, length - 1))
    last = int(np.clip(np.ceil(edges.max()), first + 1, length))
    pixels = np.arange(first, last, dtype=np.float32)
    low, high = edges[:, :-1, None], edges[:, 1:, None]
    return first, np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None) / (high - low)


def _coarse_boxes(observation: _Observation) -> Floats:
    """The candidate box of each shape with the best match in any two colours: (shapes, 4)."""
    bank = candidate_boxes()
    cells = cell_means(observation.evidence, observation.expected_box[None], COARSE)[0]
    pairs = np.maximum(cells[:, FIRST], cells[:, SECOND])  # (cells, 36)
    shared = bank.silhouettes @ pairs  # (shapes, T, 36)
    area = bank.silhouettes @ cells[:, VISIBLE, None]  # (shapes, T, 1)
    overlap = (shared / (area + bank.contexts @ pairs - shared + SMOOTHING)).max(-1)  # (shapes, T)
    best = (overlap - observation.distance_penalty * (1 - bank.expected_iou)).argmax(-1)
    x0y0, x1y1 = observation.expected_box[:2], observation.expected_box[2:]
    return np.tile(x0y0, 2) + np.tile(x1y1 - x0y0, 2) * bank.boxes[best]


def _best_candidates(observation: _Observation, boxes: Floats) -> list[_Candidate]:
    """The best box of (K, 4), pattern and colours of each shape."""
    bank = templates()
    cells = cell_means(observation.evidence, boxes, FINE)  # (K, cells, 10)
    colours = cells[..., :BACKGROUND]
    background, visible = cells[..., BACKGROUND, None], cells[..., VISIBLE, None]

    # Evidence that template and picture share, for every pair of main and pattern colour.
    main = bank.main @ colours[:, None]  # (K, shapes, patterns, 8)
    patterned = bank.patterned @ colours[:, None]  # (K, shapes, patterns, 8)
    shared = main[..., :, None] + patterned[..., None, :]  # (K, shapes, patterns, 8, 8)

    # Template area plus contradicting evidence around it; it depends on the unordered pair of
    # colours only.
    pairs = np.maximum(cells[..., FIRST], cells[..., SECOND])  # (K, cells, 36)
    around = (1 - bank.inside) @ _contradiction(pairs, background, visible)  # (K, shapes, 36)
    total = np.empty((*around.shape[:2], BACKGROUND, BACKGROUND), np.float32)
    total[..., FIRST, SECOND] = total[..., SECOND, FIRST] = around + bank.inside @ visible + SMOOTHING

    penalties = observation.penalties(boxes)[:, None, None, None, None]
    scores = ALLOWED_COLOURS * shared / total[:, :, None] - penalties  # (K, shapes, patterns, 8, 8)
    candidates = []
    for shape in range(len(SHAPES)):
        of_shape = scores[:, shape]
        box, pattern, colour, pattern_colour = map(int, np.unravel_index(of_shape.argmax(), of_shape.shape))
        score = float(of_shape[box, pattern, colour, pattern_colour])
        candidates.append(_Candidate(shape, pattern, colour, pattern_colour, boxes[box], score))
    return candidates


def _refined_box(observation: _Observation, candidate: _Candidate) -> Floats:
    """The box (4,) after hill climbing: edges move to higher scores, in steps of falling size."""
    bank = templates()
    main = bank.main[candidate.shape, candidate.pattern]
    patterned = bank.patterned[candidate.shape, candidate.pattern]
    inside = bank.inside[candidate.shape]
    channels = [candidate.colour, candidate.pattern_colour, BACKGROUND, VISIBLE]
    evidence = observation.evidence[..., channels]
    box = candidate.box
    for step in REFINEMENT_STEPS:
        # Score the box with each edge shifted by itself.
        reach = np.float32(step) * np.tile(box[2:] - box[:2], 2)
        boxes = box + EDGE_SHIFTS * reach  # (9, 4)
        colour, pattern_colour, background, visible = np.moveaxis(cell_means(evidence, boxes, FINE), -1, 0)
        around = _contradiction(np.maximum(colour, pattern_colour), background, visible) @ (1 - inside)
        overlap = (colour @ main + pattern_colour @ patterned) / (visible @ inside + around + SMOOTHING)
        scores = overlap - observation.penalties(boxes)
        # Shift every edge that gains: 0 = keep, 1 = add, 2 = subtract.
        best = np.stack([np.tile(scores[0], 4), scores[1:5], scores[5:]]).argmax(0)
        box = box + np.array([0, 1, -1], np.float32)[best] * reach
    return box


def _contradiction(figure: Floats, background: Floats, visible: Floats) -> Floats:
    """Evidence against a cell lying outside the figure.

    figure: evidence for the figure's colours, which should not continue outside.
    background, visible: evidence for the background and visibility; anything else counts
        FOREIGN_WEIGHT.
    """
    return figure + FOREIGN_WEIGHT * np.clip(visible - np.maximum(figure, background), 0, None)
