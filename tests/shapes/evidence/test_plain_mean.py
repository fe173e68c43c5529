"""The adapter without its learned gate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_diffusers.adapted_unet import AdaptedUNet, BatchInstances, RowGroup
from ifadapter_diffusers.painter import Painter
from ifadapter_diffusers.sampling import batch_tokens, guidance_rows
from shapes.evidence.methods.plain_mean import PlainMeanUNet

DEMO = Path(__file__).resolve().parents[3] / "demo"


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(DEMO)


def layout(*boxes: Box) -> Layout:
    texts = ("a red circle with white dots", "a blue square", "a green triangle with white stripes")
    return Layout(128, 128, tuple(map(Instance, boxes, texts)), "things on a grey background")


def predictions(painter: Painter, layouts: list[Layout]) -> list[torch.Tensor]:
    """Of the learned gate and of the plain mean, for the same rows."""
    conditioning = guidance_rows(painter.base, layouts)
    latents = torch.randn(2 * len(layouts), 3, 16, 16, generator=torch.Generator().manual_seed(0))
    times = torch.full((len(latents),), 700)
    tokens = batch_tokens(painter.adapter, painter.base, layouts)
    groups = BatchInstances(
        RowGroup((row, len(layouts) + row), torch.stack([one.uncond, one.cond]), one.boxes, one.strengths)
        for row, one in enumerate(tokens)
    )
    processors, found = painter.base.unet.attn_processors, []
    for kind in (AdaptedUNet, PlainMeanUNet):
        with torch.no_grad():
            found.append(kind(painter.base.unet, painter.adapter)(latents, times, conditioning, groups))
        painter.base.unet.set_attn_processor(dict(processors))
    return found


def test_it_equals_the_learned_gate_where_no_boxes_overlap(painter: Painter) -> None:
    apart = layout(Box(0, 0, 0.375, 0.375), Box(0.5, 0.5, 1, 1), Box(0, 0.5, 0.375, 1))
    single = layout(Box(0.25, 0.25, 0.75, 0.75))
    gate, mean = predictions(painter, [apart, single])
    torch.testing.assert_close(mean, gate, rtol=1e-4, atol=1e-5)


def test_it_differs_where_they_do(painter: Painter) -> None:
    gate, mean = predictions(painter, [layout(Box(0, 0, 0.5, 0.5), Box(0.25, 0.25, 0.75, 0.75))])
    assert (gate - mean).abs().max() > 1e-2


def test_equal_instances_in_equal_boxes_share_equally_by_either_rule(painter: Painter) -> None:
    """The gate weighs two equal instances equally too, so the plain mean changes nothing."""
    box = Box(0.25, 0.25, 0.75, 0.75)
    twice = Layout(128, 128, (Instance(box, "a red circle"), Instance(box, "a red circle")), "")
    gate, mean = predictions(painter, [twice])
    torch.testing.assert_close(mean, gate, rtol=1e-4, atol=1e-5)


def test_more_instances_than_slots_get_a_slot_each(painter: Painter) -> None:
    boxes = [Box(x / 4, y / 4, (x + 1) / 4, (y + 1) / 4) for x in range(4) for y in range(2)]
    eight = Layout(128, 128, tuple(Instance(box, "a red circle") for box in boxes), "")
    gate, mean = predictions(painter, [eight])
    torch.testing.assert_close(mean, gate, rtol=1e-4, atol=1e-5)
