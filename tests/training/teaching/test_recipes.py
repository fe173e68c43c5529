"""Recipes: named settings below those of a config."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml

from tiny_models import SHAPE, adapter_stage
from training.config import AdapterLoss, load_config
from training.config_reader import RECIPES
from training.new_adapter import initialize_from

NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def test_there_are_the_papers_recipe_and_ours() -> None:
    assert NAMES == ["ours", "paper"]


def test_a_recipe_applies_below_the_config_and_the_overrides() -> None:
    paper = load_config("sdxl").adapter
    assert (paper.recipe, paper.loss.box_weight, paper.shape.base_projections) == ("paper", 1.0, False)
    ours = load_config("sdxl", ["adapter.recipe=ours", "adapter.loss.noises=3"]).adapter
    assert (ours.loss.box_weight, ours.loss.middle, ours.loss.noises) == (2.0, 0.25, 3)
    assert (ours.shape.alpha, ours.shape.base_projections) == (1.0, True)
    assert ours.shape.width == paper.shape.width  # of the config
    assert ours.loop.learning_rate == 1e-4  # a default
    none = load_config("sdxl", ["adapter.recipe=null", "adapter.loop.learning_rate=1.0e-3"]).adapter
    assert none.loss == AdapterLoss()


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"sdxl\.yaml: adapter: recipe is 'mine'; expected one of ours, paper"
    ):
        load_config("sdxl", ["adapter.recipe=mine"])


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_everything_about_the_loss(name: str) -> None:
    """So that a new default of the trainer does not change what a recipe means."""
    given = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    assert set(given["loss"]) == {entry.name for entry in fields(AdapterLoss)}
    assert set(given["shape"]) == {"alpha", "base_projections"}


def test_the_page_explains_every_difference() -> None:
    page = (RECIPES / "README.md").read_text()
    paper, ours = (yaml.safe_load((RECIPES / f"{name}.yaml").read_text()) for name in ("paper", "ours"))
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| `")]
    written = {key.strip(" `"): (first.strip(), second.strip()) for key, first, second in rows}
    for section in ("loss", "shape"):
        for key, value in paper[section].items():
            name = f"{section}.{key}"
            assert written[name] == tuple(
                "none" if each is None else str(each).lower() for each in (value, ours[section][key])
            ), name


def test_keys_and_values_start_from_the_base_or_at_random(words: Path) -> None:
    stage = adapter_stage(words)
    names = list(stage.base.unet.attn_processors)
    layer = stage.adapter.config.layers[0]
    attention = stage.base.unet.get_submodule(names[layer.processor].removesuffix(".processor"))
    projection = stage.adapter.projections[str(layer.processor)]
    random = torch.randn_like(projection.to_k_ap.weight)
    projection.to_k_ap.weight.data.copy_(random)
    initialize_from(stage.base.unet, stage.adapter, 0.25, projections=False)
    assert torch.equal(projection.to_k_ap.weight, random)
    assert stage.adapter.layers[str(layer.processor)].alpha == 0.25
    initialize_from(stage.base.unet, stage.adapter, SHAPE.alpha)
    assert torch.equal(projection.to_k_ap.weight, attention.to_k.weight)
