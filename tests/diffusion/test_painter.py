"""The painter's methods and settings, on a tiny model with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny_models
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_diffusers.painter import METHODS, NOISE_ROWS, Painter
from ifadapter_diffusers.sampling import Control, batch_tokens, layout_tokens

LAYOUT = tiny_models.layout(2)  # three instances


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_models(tmp_path_factory.mktemp("models"))


def paint(
    models: Path, method: str = "full", layout: Any = LAYOUT, steps: int = 4, **options: Any
) -> np.ndarray:
    return Painter(models, 3, steps, 2.0, **options).paint(METHODS[method], [layout])[0].astype(int)


@pytest.mark.slow
def test_strength_0_is_the_base_model_and_1_the_default(models: Path) -> None:
    full, caption = paint(models), paint(models, "caption")
    assert np.abs(full - caption).mean() > 1
    assert np.abs(paint(models, control=Control(strength=0.0)) - caption).max() <= 1
    assert (paint(models, control=Control(strength=1.0)) == full).all()


def test_start_and_end_limit_the_adapter_to_a_part_of_the_schedule(models: Path) -> None:
    full, caption = paint(models), paint(models, "caption")
    first, second = (
        paint(models, control=Control(start_percent=low, end_percent=high))
        for low, high in ((0.0, 0.6), (0.6, 1.0))
    )
    for one in (first, second):
        assert (one != full).any()
        assert (one != caption).any()
    assert (first != second).any()


@pytest.mark.parametrize(
    ("control", "acting"),
    [
        (Control(), (0, 500, 999)),
        (Control(end_percent=0.5), (500, 999)),
        (Control(start_percent=0.5), (0,)),
        (Control(start_percent=0.2, end_percent=0.8), (500,)),
    ],
)
def test_percents_start_at_pure_noise(control: Control, acting: tuple[int, ...]) -> None:
    assert tuple(t for t in (0, 500, 999) if control.acts_at(t, 1000)) == acting


@pytest.mark.slow
def test_depth_order_changes_overlapping_boxes_only(models: Path) -> None:
    left, right, over = Box(0.0, 0.1, 0.5, 0.9), Box(0.5, 0.1, 1.0, 0.9), Box(0.25, 0.1, 0.75, 0.9)
    ordered = Control(front_hides_back=True)
    for boxes, differs in (((left, right), False), ((left, over), True)):
        layout = Layout(32, 32, tuple(map(Instance, boxes, tiny_models.TEXTS)), "two figures")
        change = np.abs(paint(models, layout=layout, control=ordered) - paint(models, layout=layout)).max()
        assert change > 0 if differs else change == 0


@pytest.mark.slow
def test_only_the_given_layers_act(models: Path) -> None:
    painter = Painter(models, 3, 4, 2.0)
    numbers = [layer.processor for layer in painter.adapter.config.layers]
    full = paint(models)
    assert (paint(models, layers=numbers) == full).all()
    assert (paint(models, layers=numbers[:1]) != full).any()
    with pytest.raises(ValueError, match=r"layers asked for are \[99\].*" + str(numbers[0])):
        Painter(models, layers=[99])


@pytest.mark.slow
def test_layouts_painted_together_get_the_noise_of_smaller_calls(models: Path) -> None:
    painter = Painter(models, 3, 1, 2.0)
    layouts = [LAYOUT] * (NOISE_ROWS + 2)
    whole = painter.paint(METHODS["full"], layouts, first=5).astype(int)
    parts = [
        painter.paint(METHODS["full"], layouts[:NOISE_ROWS], first=5),
        painter.paint(METHODS["full"], layouts[NOISE_ROWS:], first=5 + NOISE_ROWS),
    ]
    assert np.abs(whole - np.concatenate(parts)).max() <= 1
    assert (whole[0] != whole[NOISE_ROWS]).any()


def test_noise_of_another_shape_is_refused(models: Path) -> None:
    painter = Painter(models, 3, 1, 2.0)
    noise = painter.noise([LAYOUT])
    with pytest.raises(ValueError, match=r"The noise is \(1, .*these layouts need \(2, "):
        painter.paint_from(METHODS["full"], [LAYOUT] * 2, noise)


def test_tokens_of_a_batch_are_those_of_each_layout(models: Path) -> None:
    painter = Painter(models)
    layouts = [tiny_models.layout(number, instances) for number, instances in enumerate((2, 0, 1, 3))]
    batch = batch_tokens(painter.adapter, painter.base, layouts)
    for tokens, layout in zip(batch, layouts, strict=True):
        alone = layout_tokens(painter.adapter, painter.base, layout)
        assert (len(tokens), tokens.strengths) == (len(layout.instances), alone.strengths)
        for part in ("cond", "uncond", "boxes"):
            assert torch.allclose(getattr(tokens, part), getattr(alone, part), atol=1e-5)
    empty = batch_tokens(painter.adapter, painter.base, layouts[1:2])
    assert [len(tokens) for tokens in empty] == [0]
