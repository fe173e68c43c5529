"""Instance tokens in the text's sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_diffusers.adapted_unet import BatchInstances, RowGroup
from ifadapter_diffusers.painter import Painter
from ifadapter_diffusers.sampling import batch_tokens, guidance_rows
from shapes.evidence.methods.control_copy import description_colours, layout_pictures
from shapes.evidence.methods.sequence import SequenceUNet
from shapes.evidence.methods.slots import in_slots
from shapes.scene import COLOURS

DEMO = Path(__file__).resolve().parents[3] / "demo"
PAIR = Layout(
    128,
    128,
    (
        Instance(Box(0, 0, 0.5, 0.5), "a red circle with white dots"),
        Instance(Box(0.4, 0.4, 1, 1), "a blue square"),
    ),
    "a circle and a square on a grey background",
)
SINGLE = Layout(128, 128, PAIR.instances[:1], "a circle on a grey background")


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(DEMO)


class Inputs:
    def __init__(self, painter: Painter, layouts: list[Layout]) -> None:
        self.count = len(layouts)
        self.conditioning = guidance_rows(painter.base, layouts)
        shape = (2 * self.count, 3, 16, 16)
        self.latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        self.times = torch.full((2 * self.count,), 700)
        tokens = batch_tokens(painter.adapter, painter.base, layouts)
        self.groups = BatchInstances(
            RowGroup((row, self.count + row), torch.stack([one.uncond, one.cond]), one.boxes, one.strengths)
            for row, one in enumerate(tokens)
        )


@torch.no_grad()
def sampled(painter: Painter, inputs: Inputs, **changed: Any) -> Tensor:
    """The prediction of the sampling path. alpha: of all layers; instances: False for none."""
    before = painter.base.unet.attn_processors
    layers: Any = painter.adapter.layers
    alphas = {key: layer.alpha.clone() for key, layer in layers.items()}
    if "alpha" in changed:
        for layer in layers.values():
            layer.alpha.fill_(changed["alpha"])
    try:
        adapted = SequenceUNet(painter.base.unet, painter.adapter)
        groups = inputs.groups if changed.get("instances", True) else BatchInstances(())
        return adapted(inputs.latents, inputs.times, inputs.conditioning, groups)
    finally:
        painter.base.unet.set_attn_processor(dict(before))
        for key, layer in layers.items():
            layer.alpha.copy_(alphas[key])


def plain(painter: Painter, inputs: Inputs) -> Tensor:
    return painter.base.predict(inputs.latents, inputs.times, inputs.conditioning)


def test_without_instances_it_is_the_base_model(painter: Painter) -> None:
    inputs = Inputs(painter, [PAIR])
    torch.testing.assert_close(
        sampled(painter, inputs, instances=False), plain(painter, inputs), rtol=1e-4, atol=1e-5
    )


def test_a_gate_of_zero_is_the_base_model_and_an_open_one_is_not(painter: Painter) -> None:
    inputs = Inputs(painter, [PAIR])
    closed, opened = (sampled(painter, inputs, alpha=alpha) for alpha in (0.0, 1.0))
    torch.testing.assert_close(closed, plain(painter, inputs), rtol=1e-4, atol=1e-5)
    assert (opened - closed).abs().max() > 1e-2


def test_training_and_sampling_predict_the_same(painter: Painter) -> None:
    inputs = Inputs(painter, [PAIR, SINGLE])
    from_groups = sampled(painter, inputs)
    before = painter.base.unet.attn_processors
    adapted = SequenceUNet(painter.base.unet, painter.adapter)
    slots = in_slots(inputs.groups, 2 * inputs.count, 6, torch.device("cpu"))
    with torch.no_grad():
        from_slots = adapted.denoise(inputs.latents, inputs.times, inputs.conditioning, slots)
    painter.base.unet.set_attn_processor(dict(before))
    torch.testing.assert_close(from_slots, from_groups, rtol=1e-4, atol=1e-5)


def test_empty_slots_do_not_count(painter: Painter) -> None:
    """A layout beside a larger one has empty slots; alone it has others. The prediction is the same."""
    both, alone = Inputs(painter, [SINGLE, PAIR]), Inputs(painter, [SINGLE])
    alone.latents = both.latents[::2]
    beside = sampled(painter, both)[::2]
    torch.testing.assert_close(beside, sampled(painter, alone), rtol=1e-4, atol=1e-5)


def test_the_order_of_instances_does_not_matter(painter: Painter) -> None:
    """There is no depth in a sequence."""
    swapped = Layout(128, 128, PAIR.instances[::-1], PAIR.caption)
    first, second = Inputs(painter, [PAIR]), Inputs(painter, [swapped])
    second.conditioning = first.conditioning
    torch.testing.assert_close(sampled(painter, first), sampled(painter, second), rtol=1e-4, atol=1e-5)


def test_strengths_are_refused(painter: Painter) -> None:
    inputs = Inputs(painter, [PAIR])
    inputs.groups.strengths[0] = 0.5
    with pytest.raises(ValueError, match="no strengths"):
        sampled(painter, inputs)


def test_a_layout_in_colours_has_the_later_box_in_front() -> None:
    colours = description_colours(PAIR.local_descriptions)
    assert (255 * colours).round().int().tolist() == [list(COLOURS["red"]), list(COLOURS["blue"])]
    boxes = torch.tensor([[*map(tuple, PAIR.boxes), (0.0, 0.0, 1.0, 1.0)]])
    present = torch.tensor([[True, True, False]])  # the last slot is empty
    picture = layout_pictures(boxes, present, torch.cat([colours, torch.ones(1, 3)])[None], 10)[0]
    torch.testing.assert_close(picture[:, 1, 1], colours[0])
    torch.testing.assert_close(picture[:, 4, 4], colours[1])
    torch.testing.assert_close(picture[:, 9, 0], torch.full((3,), 0.5))
