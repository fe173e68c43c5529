"""What each trained variant trains, by its gradients, and one short training of each kind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from ifadapter_core.storage import load_weights
from ifadapter_diffusers.randomness import seeded_generator
from shapes.evidence.layouts.layout_sets import LayoutSet
from shapes.evidence.methods.control_copy import controlled
from shapes.evidence.painting import Painting
from shapes.evidence.run import run_study
from shapes.evidence.studio import Options, Studio
from shapes.evidence.study import Comparison, Condition, Study
from shapes.evidence.trained.adapters import TrainedAdapter
from shapes.evidence.trained.bases import FineTuned, low_rank, merge, unet_stage, vae_stage
from shapes.evidence.trained.budget import adapter_config
from shapes.evidence.trained.control import TrainedControl, new_stage
from shapes.evidence.trained.pool import draw_pool, pool_config, pool_settings
from shapes.models.config import VAELoss
from shapes.models.pool import Pool
from training.loop import train as real_train

DEMO = Path(__file__).resolve().parents[3] / "demo"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fresh_accelerate")]


@pytest.fixture(autouse=True)
def few_sampling_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("shapes.models.unet.STEPS", "training.adapter_stage.SHEET_STEPS"):
        monkeypatch.setattr(name, 1)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests, so that each pool is drawn once."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def studio(work: Path) -> Iterator[Studio]:
    options = Options(demo=DEMO, work=work, layouts=2, steps=1, train_steps=2, train_batch=2, pool=6)
    with ThreadPoolExecutor(1) as judges:
        yield Studio(options, judges)


def trained_names(stage: Any) -> set[str]:
    """The weights that a step changes: those with a gradient that is not zero."""
    stage.objective(stage.batches[0], seeded_generator(0)).backward()
    named = stage.objective.named_parameters()
    return {name for name, weight in named if weight.grad is not None and weight.grad.abs().max() > 0}


def adapter_names(recipe: TrainedAdapter, studio: Studio) -> set[str]:
    names = trained_names(recipe.stage(studio, adapter_config(studio)))
    assert all(name.startswith("adapted.adapter.") for name in names)  # the base model is frozen
    return {name.removeprefix("adapted.adapter.") for name in names}


def parts(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_the_whole_adapter_trains_all_of_its_parts(studio: Studio) -> None:
    names = adapter_names(TrainedAdapter(), studio)
    assert parts(names) == {"resampler", "position_net", "projections", "layers"}
    assert any(".fusion." in name for name in names)


def test_an_adapter_of_eot_tokens_has_no_use_for_its_resampler(studio: Studio) -> None:
    assert parts(adapter_names(TrainedAdapter(appearance=False), studio)) == {
        "position_net",
        "projections",
        "layers",
    }


def test_an_adapter_of_appearance_tokens_trains_its_resampler(studio: Studio) -> None:
    assert "resampler" in parts(adapter_names(TrainedAdapter(eot=False), studio))


def test_tokens_in_the_sequence_use_neither_gate_nor_masks(studio: Studio) -> None:
    names = adapter_names(TrainedAdapter(sequence=True), studio)
    assert parts(names) == {"resampler", "position_net", "projections", "layers"}
    assert not any(".fusion." in name for name in names)
    assert any(name.endswith(".alpha") for name in names)


@pytest.mark.parametrize(
    ("recipe", "queries", "depths"),
    [
        (TrainedAdapter(queries=1), 1, 3),
        (TrainedAdapter(queries=8), 8, 3),
        (TrainedAdapter(depths=(-2,)), 4, 1),
    ],
)
def test_queries_and_depths_change_the_number_of_tokens_only(
    studio: Studio, recipe: TrainedAdapter, queries: int, depths: int
) -> None:
    painter = recipe.painter(studio)
    config, shipped = painter.adapter.config, load_weights(DEMO / "ifadapter.safetensors").config
    assert config.tokens_per_instance == queries * depths + 1
    assert config.layers == shipped.layers
    assert config.settings.slots == shipped.settings.slots


def test_a_fine_tuned_adapter_starts_from_the_shipped_one(studio: Studio) -> None:
    stage = TrainedAdapter(look="section", fine_tuned=True, steps=1).stage(studio, adapter_config(studio))
    shipped = load_weights(DEMO / "ifadapter.safetensors").tensors
    for name, weight in stage.adapter.state_dict().items():
        torch.testing.assert_close(weight, shipped[name].float())


def test_a_fine_tuned_base_trains_its_unet_and_not_its_text_encoder(studio: Studio) -> None:
    assert parts(trained_names(unet_stage(studio, "palette"))) == {"unet", "position_probe"}
    assert any(name.startswith("vae.decoder") for name in trained_names(vae_stage(studio, "palette")))


def test_a_controlnet_trains_its_copy_only_and_starts_without_effect(studio: Studio) -> None:
    stage = new_stage(studio, adapter_config(studio))
    names = trained_names(stage)
    assert names
    assert all(name.startswith("copy.") for name in names)
    base, copy = stage.base, stage.objective.copy
    latents, times = torch.randn(1, 3, 16, 16), torch.tensor([500])
    states = torch.randn(1, 77, 96)
    with torch.no_grad():
        plain = base.unet(latents, times, states).sample
        with_copy = controlled(base.unet, copy, latents, times, states, torch.rand(1, 3, 128, 128))
    torch.testing.assert_close(with_copy, plain, rtol=1e-4, atol=1e-5)


def test_half_of_a_low_rank_update_is_merged() -> None:
    torch.manual_seed(0)
    module = torch.nn.Conv2d(6, 5, 3)
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    tuned = {name: weight + torch.randn_like(weight) for name, weight in before.items()}
    merge(module, tuned, 0.5, rank=2)
    change = 2 * (module.weight.detach() - before["weight"])
    assert torch.linalg.matrix_rank(change.flatten(1), atol=1e-5) == 2
    torch.testing.assert_close(change, low_rank(tuned["weight"] - before["weight"], 2))
    torch.testing.assert_close(module.bias.detach(), before["bias"])  # vectors are not low-rank updates
    merge(module, tuned, 1.0)
    torch.testing.assert_close(module.weight.detach(), tuned["weight"])


def test_merged_bases_keep_the_text_encoder_and_none_of_the_update_is_the_shipped_base(
    studio: Studio,
) -> None:
    shipped = load_file(DEMO / "unet" / "diffusion_pytorch_model.safetensors")
    unets = {}
    for part in (0.0, 1.0):
        painter = FineTuned("palette", part=part).painter(studio)
        unets[part] = painter.base.unet.state_dict()
        text = load_file(DEMO / "text_encoder" / "model.safetensors")
        ours = painter.base.text_encoders[0].state_dict()
        for name, weight in ours.items():
            matching = [value for key, value in text.items() if key.endswith(name)]
            torch.testing.assert_close(weight, matching[0].float())
    for name, weight in shipped.items():
        torch.testing.assert_close(unets[0.0][name], weight.float())
    assert any(not torch.equal(unets[1.0][name], weight.float()) for name, weight in shipped.items())


def test_the_pool_of_the_plain_look_is_that_of_the_demos_training(studio: Studio, tmp_path: Path) -> None:
    config = pool_config(6, 2)
    tensors, pixels = draw_pool(
        studio.cache, studio.judges, studio.world, "plain", config, DEMO / "tokenizer", torch.device("cpu")
    )
    pool = Pool(studio.world, config, CLIPTokenizer.from_pretrained(str(DEMO / "tokenizer")))
    arrays, descriptions, chosen = pool.wait()
    assert tensors.descriptions == descriptions
    np.testing.assert_array_equal(pixels, arrays.pixels)
    np.testing.assert_array_equal(tensors.scenes.captions.numpy(), arrays.captions)
    np.testing.assert_allclose(tensors.scenes.boxes.numpy(), arrays.boxes)
    np.testing.assert_array_equal(tensors.scenes.descriptions.numpy(), chosen)


def places(demo: Path, work: Path) -> dict[str, Path]:
    """The folders of everything that an adapter's study reads from the cache."""
    options = Options(demo=demo, work=work, layouts=2, train_steps=2, train_batch=2, pool=6)
    with ThreadPoolExecutor(1) as judges:
        studio = Studio(options, judges)
    models = {"adapter": TrainedAdapter(), "control": TrainedControl(), "base": FineTuned("palette")}
    painted = {
        f"pictures of {name}": studio.cache.place("pictures", studio.settings(painting, LayoutSet()))
        for name, painting in ((name, Painting(models=one)) for name, one in models.items())
    }
    pool = pool_settings(studio.world, "plain", studio.pool_config("plain"), demo / "tokenizer")
    found = {name: one.place(studio) for name, one in models.items()}  # type: ignore[attr-defined]
    return {**found, **painted, "pool": studio.cache.place("pools", pool)}


OF_ADAPTERS = {"adapter", "control", "pictures of adapter", "pictures of control"}
OF_BASES = {"base", "pictures of base"}


@pytest.mark.parametrize(
    ("name", "value", "changed"),
    [
        ("budget.CONFIG", "shapes", OF_ADAPTERS),  # other rates and another loss
        ("bases.UNET_RATE", 1e-5, OF_BASES),
        ("bases.VAE_LOSS", VAELoss(flat=1.0), OF_BASES),
        ("bases.VAE_BATCH", 1, OF_BASES),
        ("pool.CROWDED", 0.5, {*OF_ADAPTERS, *OF_BASES, "pool"}),
        ("budget.SAVES", 1, set()),
    ],
)
def test_every_setting_that_the_training_reads_changes_the_places_of_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, changed: set[str]
) -> None:
    before = places(DEMO, tmp_path)
    assert places(DEMO, tmp_path) == before
    monkeypatch.setattr(f"shapes.evidence.trained.{name}", value)
    after = places(DEMO, tmp_path)
    assert {key for key, place in after.items() if place != before[key]} == changed


def test_another_tokenizer_changes_the_places_of_the_pool_and_of_all_models(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    shutil.copytree(DEMO, demo)
    before = places(demo, tmp_path)
    file = demo / "tokenizer" / "tokenizer.json"
    file.write_text(file.read_text("utf-8") + " ", "utf-8")
    after = places(demo, tmp_path)
    assert not any(after[key] == before[key] for key in before)


RECIPES = {
    "eot": Painting("eot", models=TrainedAdapter(appearance=False)),
    "sequence": Painting("sequence", models=TrainedAdapter(sequence=True)),
    "control": Painting("control", models=TrainedControl()),
    "half": Painting(models=FineTuned("palette", 8, 0.5)),
    "domain": Painting(models=TrainedAdapter(look="section", fine_tuned=True, steps=1)),
}


def test_trained_models_paint_resume_and_are_trained_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Path] = []

    def counted(stage: Any, loop: Any, folder: Path) -> None:
        trained.append(folder)
        real_train(stage, loop, folder)

    monkeypatch.setattr("shapes.evidence.trained.budget.train", counted)
    study: Any = Study(
        "test",
        "Test",
        "",
        [Condition(key, key, painting, LayoutSet()) for key, painting in RECIPES.items()],
        [Comparison("eot", "sequence")],
        answer=str,
        brief=str,
        plot=lambda record, figure: None,
        tables=str,
        trains=True,
        frechet=True,
    )
    first = run_study(study, studio)
    assert first["settings"]["train_steps"] == 2
    count = len(trained)
    assert count == len(set(trained)) > 3
    assert run_study(study, Studio(studio.options, studio.judges)) == first
    assert len(trained) == count
