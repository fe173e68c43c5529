"""Training of an adapter: its loss, what it drops, and that nothing else of the model moves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import launched
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import training.adapter_stage
from ifadapter_core.checkpoint import build_adapter
from ifadapter_core.geometry import cell_range
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.storage import load_weights
from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.adapted_unet import RowGroup
from ifadapter_diffusers.base_model import BaseModel, Conditioning
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import sample_layouts
from tiny_models import SHAPE, SIZE, TEXTS, Batches, adapter_stage, layout, sd, sdxl, set_alpha
from training.adapter_stage import (
    AdapterLoss,
    AdapterStage,
    LayoutBatch,
    adapter_config,
    box_weights,
    training_groups,
)
from training.loop import LoopConfig, train

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = {"sd": sd, "sdxl": sdxl}
CONFIG = LoopConfig(
    steps=4, learning_rate=1e-3, weight_decay=0.0, ema_decay=0.9, save_every=100, sample_every=100
)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "tokenizer"


@pytest.fixture(autouse=True)
def short_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.adapter_stage, "STEPS", 2)


@pytest.fixture(params=["sd", "sdxl"])
def stage(request: pytest.FixtureRequest, words: Path) -> AdapterStage:
    return adapter_stage(words, pipeline=PIPELINES[request.param](words))


def copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def gradients(stage: AdapterStage, batch: LayoutBatch) -> dict[str, Tensor]:
    stage.adapter.zero_grad()
    stage.objective(batch, seeded_generator(0)).backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in stage.adapter.named_parameters()
        if parameter.grad is not None
    }


# Where it starts


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_new_adapter_reads_tokens_as_the_base_reads_text(words: Path, kind: str) -> None:
    stage = adapter_stage(words, pipeline=PIPELINES[kind](words))
    names = list(stage.base.unet.attn_processors)
    for layer in stage.adapter.config.layers:
        attention = stage.base.unet.get_submodule(names[layer.processor].removesuffix(".processor"))
        projection = stage.adapter.projections[str(layer.processor)]
        assert torch.equal(projection.to_k_ap.weight, attention.to_k.weight)
        assert torch.equal(projection.to_v_ap.weight, attention.to_v.weight)
        assert projection.to_v_ap.weight.requires_grad
        assert not attention.to_v.weight.requires_grad
        assert stage.adapter.layers[str(layer.processor)].alpha.item() == SHAPE.alpha


# What moves


@pytest.mark.usefixtures("fresh_accelerate")
def test_no_weight_of_the_base_moves_and_every_weight_of_the_adapter_does(
    stage: AdapterStage, tmp_path: Path
) -> None:
    set_alpha(stage.adapter, 0.0)  # as a new adapter begins
    base, adapter = copy(stage.base), copy(stage.adapter)
    train(stage, CONFIG, tmp_path)
    assert stage.base.state_dict().keys() == base.keys()
    assert not [
        name for name, tensor in stage.base.state_dict().items() if not torch.equal(tensor, base[name])
    ]
    assert not [
        name
        for name, parameter in stage.base.named_parameters()
        if parameter.requires_grad or parameter.grad is not None
    ]
    assert not [
        name for name, tensor in stage.adapter.state_dict().items() if torch.equal(tensor, adapter[name])
    ]
    assert {name.partition(".")[0] for name in load_file(tmp_path / "state" / "trained.safetensors")} == {
        "adapted"
    }


@pytest.mark.usefixtures("fresh_accelerate")
def test_the_file_holds_the_trained_adapter(stage: AdapterStage, tmp_path: Path) -> None:
    train(stage, replace(CONFIG, ema_decay=0.0), tmp_path)
    weights = load_weights(tmp_path / "weights" / "ifadapter.safetensors")
    assert weights.config == stage.adapter.config
    loaded = build_adapter(weights)
    phrases = stage.base.embed_phrases(TEXTS, (-2, -4, -6))
    boxes = torch.rand(len(TEXTS), 2, 2).sort(dim=1).values.flatten(1)
    assert torch.equal(loaded(phrases, boxes), stage.adapter(phrases, boxes))
    assert all(
        torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in stage.adapter.state_dict().items()
    )


@pytest.mark.usefixtures("fresh_accelerate")
def test_the_file_holds_the_average(words: Path, tmp_path: Path) -> None:
    stage = adapter_stage(words)
    train(stage, CONFIG, tmp_path)
    average = torch.load(tmp_path / "state" / "custom_checkpoint_1.pkl")["shadow_params"]
    stored = load_file(tmp_path / "weights" / "ifadapter.safetensors")
    assert all(
        torch.equal(stored[name], tensor)
        for (name, _), tensor in zip(stage.adapter.named_parameters(), average, strict=True)
    )
    assert any(
        not torch.equal(stored[name], parameter) for name, parameter in stage.adapter.named_parameters()
    )


@pytest.mark.usefixtures("fresh_accelerate")
def test_a_stopped_run_ends_as_one_that_was_not(words: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=6, accumulation=2)
    train(adapter_stage(words), config, tmp_path / "whole")
    stage = adapter_stage(words)
    stage.batches = Interrupting(5)
    with pytest.raises(KeyboardInterrupt):
        train(stage, config, tmp_path / "stopped")
    torch.manual_seed(99)
    train(adapter_stage(words), config, tmp_path / "stopped")
    assert (tmp_path / "whole" / "losses.csv").read_bytes() == (
        tmp_path / "stopped" / "losses.csv"
    ).read_bytes()
    for file in ("weights/ifadapter.safetensors", "state/trained.safetensors"):
        whole, stopped = (load_file(tmp_path / name / file) for name in ("whole", "stopped"))
        assert whole.keys() == stopped.keys()
        assert all(torch.equal(whole[name], stopped[name]) for name in whole)


class Interrupting(Batches):
    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def __getitem__(self, number: int) -> LayoutBatch:
        if number == self.at:
            signal.raise_signal(signal.SIGINT)
        return super().__getitem__(number)


# The loss


@pytest.mark.parametrize("middle", [None, 0.3])
def test_it_is_the_base_models_own_loss_where_the_adapter_does_nothing(
    stage: AdapterStage, middle: float | None
) -> None:
    set_alpha(stage.adapter, 0.0)
    stage.objective.loss = AdapterLoss(drop_local=0.0, drop_global=0.0, middle=middle)
    batch = Batches(3)[4]
    got = stage.objective(batch, seeded_generator(5))
    randomness = seeded_generator(5)
    torch.rand(2, 3, generator=randomness)
    noise = torch.randn(3, 4, 16, 16, generator=randomness)
    if middle is None:
        timesteps = torch.randint(1000, (3,), generator=randomness)
    else:
        timesteps = (torch.randn(3, generator=randomness) + middle).sigmoid().mul(1000).long()
    conditioning = stage.base.condition([part.caption for part in batch.layouts], (SIZE, SIZE))
    noisy = stage.base.scheduler.add_noise(batch.latents, noise, timesteps)
    assert torch.isclose(
        got, (stage.base.predict(noisy, timesteps, conditioning) - noise).square().mean(), rtol=1e-5
    )


def test_pictures_give_the_loss_of_their_latents(stage: AdapterStage) -> None:
    layouts, images = [layout(0), layout(1)], torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    latents = stage.base.encode(images)
    by_images = stage.objective(LayoutBatch(layouts, images=images), seeded_generator(0))
    assert torch.equal(by_images, stage.objective(LayoutBatch(layouts, latents=latents), seeded_generator(0)))


@pytest.mark.parametrize("inside", [1.0, 2.0, 5.0])
def test_the_loss_inside_boxes_weighs_more(words: Path, inside: float) -> None:
    """With an error of one inside the boxes and none elsewhere, the loss is their share of the weight."""
    stage = adapter_stage(words, AdapterLoss(box_weight=inside, noises=2))
    batch = Batches(3)[1]
    covered = box_weights(batch.layouts, 16, 16, 0.0) == 0
    wrong = covered.repeat_interleave(2, dim=0)[:, None].float()
    noise = Recorder(lambda latents, *_: expected_noise(len(latents), 3) + wrong)
    stage.objective.adapted = noise.around(stage.objective.adapted)
    loss = stage.objective(batch, seeded_generator(6))
    cells = covered.sum()
    assert torch.isclose(loss, inside * cells / (inside * cells + (~covered).sum()), rtol=1e-5)


def expected_noise(rows: int, pictures: int) -> Tensor:
    randomness = seeded_generator(6)
    torch.rand(2, pictures, generator=randomness)
    return torch.randn(rows, 4, 16, 16, generator=randomness)


def test_weights_of_boxes_follow_the_cells_of_the_layers() -> None:
    boxes = (Box(0.1, 0.0, 0.4, 0.5), Box(0.3, 0.3, 1.0, 0.9))
    weights = box_weights(
        [Layout(64, 96, tuple(Instance(box, "a") for box in boxes)), Layout(64, 96)], 12, 8, 3.0
    )
    expected = torch.ones(2, 12, 8)
    for box in boxes:
        cells = cell_range(box, 12, 8)
        expected[0, cells.y0 : cells.y1, cells.x0 : cells.x1] = 3
    assert torch.equal(weights, expected)


def test_each_picture_is_trained_with_several_noises(stage: AdapterStage) -> None:
    stage.objective.loss = AdapterLoss(noises=3, drop_local=0.0, drop_global=0.0)
    recorder = Recorder(lambda latents, *_: torch.zeros_like(latents))
    stage.objective.adapted = recorder.around(stage.objective.adapted)
    batch = Batches(2)[0]
    stage.objective(batch, seeded_generator(0))
    latents, timesteps, conditioning, groups = recorder.calls[0]
    assert latents.shape[0] == len(timesteps) == len(conditioning.text_states) == 6
    assert len({float(row.sum()) for row in latents}) == 6
    assert len(set(timesteps.tolist())) > 2
    captions = stage.base.condition([part.caption for part in batch.layouts], (SIZE, SIZE))
    assert torch.equal(conditioning.text_states, captions.text_states[[0, 0, 0, 1, 1, 1]])
    assert all(
        torch.equal(value, captions.added[key][[0, 0, 0, 1, 1, 1]])
        for key, value in conditioning.added.items()
    )
    assert [group.rows for group in groups] == [(0, 1, 2), (3, 4, 5)]
    assert [group.boxes.tolist() for group in groups] == [
        torch.tensor(part.boxes).tolist() for part in batch.layouts
    ]
    assert all(torch.equal(group.tokens[0], other) for group in groups for other in group.tokens)


class Recorder:
    """Stands for the adapted UNet: keeps what it is asked."""

    def __init__(self, answer: Callable[..., Tensor]) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def around(self, adapted: nn.Module) -> nn.Module:
        recording = nn.Module()
        recording.adapter = adapted.adapter
        recording.forward = self
        return recording

    def __call__(self, *given: Any) -> Tensor:
        self.calls.append(given)
        return self.answer(*given)


# What is dropped


def test_a_picture_that_lost_its_words_has_the_null_condition(stage: AdapterStage) -> None:
    layouts = [layout(2), layout(1), layout(5)]
    groups = training_groups(stage.adapter, stage.base, layouts, [False, True, False], copies=1)
    for number, (part, group) in enumerate(zip(layouts, groups, strict=True)):
        phrases = stage.base.embed_phrases(part.local_descriptions, (-2, -4, -6))
        boxes = torch.tensor(part.boxes)
        tokens = stage.adapter.encode_instances(
            phrases.phrase_embeds, phrases.attention_mask, phrases.eot_embeds, boxes
        )
        assert torch.allclose(group.tokens[0], tokens.uncond if number == 1 else tokens.cond, atol=1e-5)
        assert torch.equal(group.boxes, boxes)
        assert group.rows == (number,)
        assert group.strengths == (1.0,) * len(boxes)


@pytest.mark.parametrize(("local", "globally"), [(0.15, 0.3), (0.0, 0.0), (1.0, 1.0)])
def test_how_often_words_are_dropped(
    words: Path, monkeypatch: pytest.MonkeyPatch, local: float, globally: float
) -> None:
    stage = adapter_stage(words, AdapterLoss(drop_local=local, drop_global=globally))
    stage.objective.adapted = Recorder(lambda latents, *_: latents).around(stage.objective.adapted)
    captions: list[str] = []
    dropped: list[bool] = []

    def condition(texts: list[str], size: tuple[int, int]) -> Conditioning:
        captions.extend(texts)
        return Conditioning(torch.zeros(len(texts), 1, 1))

    def groups(adapter: Any, base: Any, layouts: Any, drops: list[bool], copies: int) -> list[RowGroup]:
        dropped.extend(drops)
        return [RowGroup((0,), torch.zeros(1, 1, 7, 32), torch.zeros(1, 4), (1.0,))]

    monkeypatch.setattr(stage.base, "condition", condition)
    monkeypatch.setattr(training.adapter_stage, "training_groups", groups)
    batch = LayoutBatch([layout(0)] * 50, torch.zeros(50, 4, 1, 1))
    for number in range(80):
        stage.objective(batch, seeded_generator(1, number))
    lost = [caption == "" for caption in captions]
    assert set(captions) <= {"", layout(0).caption}
    assert sum(dropped) / 4000 == pytest.approx(local, abs=0.02 * (0 < local < 1))
    assert sum(lost) / 4000 == pytest.approx(globally, abs=0.025 * (0 < globally < 1))
    both = sum(a and b for a, b in zip(dropped, lost, strict=True)) / 4000
    assert both == pytest.approx(
        local * globally, abs=0.015 * (0 < local < 1)
    )  # one has nothing to do with the other


def test_the_papers_rates_are_the_defaults() -> None:
    assert AdapterLoss() == AdapterLoss(drop_local=0.15, drop_global=0.3, box_weight=1.0, noises=1)
    assert (LoopConfig(steps=1).learning_rate, LoopConfig(steps=1).schedule) == (1e-4, "constant")


# Pictures without instances


def test_a_picture_without_instances_is_the_base_models_affair(stage: AdapterStage) -> None:
    batch = Batches(3)[0]
    layouts = [batch.layouts[0], layout(1, 0), batch.layouts[2]]
    loss = stage.objective(LayoutBatch(layouts, batch.latents), seeded_generator(0))
    groups = training_groups(stage.adapter, stage.base, layouts, [False] * 3, 1)
    given = (batch.latents, torch.tensor([5, 500, 900]), stage.base.condition(["a", "b", "c"], (SIZE, SIZE)))
    assert torch.isfinite(loss)
    assert torch.allclose(
        stage.objective.adapted(*given, groups)[1], stage.base.predict(*given)[1], atol=1e-6
    )


def test_a_batch_without_any_instance_gives_every_weight_a_gradient_of_zero(stage: AdapterStage) -> None:
    """Several processes wait for each other's gradients."""
    batch = LayoutBatch([layout(0, 0), layout(1, 0)], Batches(2)[0].latents)
    found = gradients(stage, batch)
    assert found.keys() == dict(stage.adapter.named_parameters()).keys()
    assert not any(gradient.any() for gradient in found.values())


# Precision and memory


def test_gradient_checkpointing_gives_the_same_gradients(stage: AdapterStage) -> None:
    batch = Batches()[2]
    plain = gradients(stage, batch)
    calls: list[int] = []
    stage.base.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k.register_forward_hook(
        lambda *_: calls.append(1)
    )
    gradients(stage, batch)
    assert len(calls) == 1
    stage.base.unet.enable_gradient_checkpointing()
    saved = gradients(stage, batch)
    assert len(calls) > 2  # once more in the backward pass
    assert plain.keys() == saved.keys()
    assert all(torch.allclose(plain[name], saved[name], rtol=1e-4, atol=1e-7) for name in plain)


@pytest.mark.usefixtures("fresh_accelerate")
def test_training_in_bfloat16_comes_close(words: Path, tmp_path: Path) -> None:
    """Of a base model in bfloat16 as well, from pictures; the adapter itself stays float32."""
    sdxl(words).save_pretrained(tmp_path / "base")
    ends = {}
    for precision, dtype in (("no", torch.float32), ("bf16", torch.bfloat16)):
        base = BaseModel.from_pretrained(str(tmp_path / "base"), dtype)
        torch.manual_seed(1)
        stage = AdapterStage(base, SHAPE, AdapterLoss(), PictureBatches(), [layout(0), layout(1)])
        set_alpha(stage.adapter, 0.5)
        losses: list[float] = []
        stage.objective.register_forward_hook(lambda _, __, loss, losses=losses: losses.append(loss.item()))
        train(stage, replace(CONFIG, mixed_precision=precision), tmp_path / precision)
        assert {parameter.dtype for parameter in stage.adapter.parameters()} == {torch.float32}
        assert (tmp_path / precision / "samples" / "step_000004.png").exists()
        ends[precision] = torch.tensor(losses)
        fresh_state()
    assert ends["bf16"].isfinite().all()
    assert torch.allclose(ends["bf16"], ends["no"], rtol=0.02)
    assert not torch.equal(ends["bf16"], ends["no"])


def fresh_state() -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


class PictureBatches(Batches):
    def __getitem__(self, number: int) -> LayoutBatch:
        images = torch.rand(self.size, 3, SIZE, SIZE, generator=seeded_generator(4, number)) * 2 - 1
        return LayoutBatch(super().__getitem__(number).layouts, images=images)


def test_nothing_stays_behind_when_the_model_goes_to_another_device(
    words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device meta stands for any: an operation that mixes it with the CPU is an error. It cannot say how long texts are."""
    stage = adapter_stage(words, AdapterLoss(noises=2, box_weight=2.0), sdxl(words))
    stage.objective.to("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    width = stage.base.text_width

    def phrases(texts: list[str], depths: tuple[int, ...]) -> PhraseEmbeddings:
        shapes = ((len(texts), 3, 9, width), (len(texts), 9), (len(texts), width))
        return PhraseEmbeddings(*(torch.ones(shape, device="meta") for shape in shapes))

    monkeypatch.setattr(stage.base, "embed_phrases", phrases)
    some, none = [layout(0), layout(1), layout(2, 0)], [layout(0, 0), layout(1, 0), layout(2, 0)]
    latents, images = torch.zeros(3, 4, 16, 16), torch.zeros(3, 3, SIZE, SIZE)
    for batch in (LayoutBatch(some, latents), LayoutBatch(some, images=images), LayoutBatch(none, latents)):
        found = gradients(stage, batch)
        assert found
        assert {gradient.device.type for gradient in found.values()} == {"meta"}
    sampled = sample_layouts(stage.objective.adapted, stage.base, some, seeded_generator(0), 1, 2.0)
    assert sampled.device.type == "meta"
    assert sampled.shape == images.shape


# Sheets


def test_a_sheet_shows_layouts_and_pictures_always_the_same(stage: AdapterStage) -> None:
    state = torch.get_rng_state()
    sheet = stage.sheet(seeded_generator(3))
    assert sheet.size == (2 * SIZE + 2, 2 * SIZE + 2)
    assert (
        sheet.tobytes()
        == stage.sheet(seeded_generator(3)).tobytes()
        != stage.sheet(seeded_generator(4)).tobytes()
    )
    assert torch.equal(torch.get_rng_state(), state)  # a training with sheets is that without


# Shapes


def test_blocks_without_cross_attention_are_named(words: Path) -> None:
    unet = sd(words).unet
    with pytest.raises(ValueError, match=r"no cross attention in the blocks up_blocks\.1, middle\."):
        adapter_config(unet, 32, replace(SHAPE, blocks=("mid_block", "up_blocks.1", "middle")))
    with pytest.raises(ValueError, match="reads 32-wide.*give 64"):
        adapter_config(unet, 64, SHAPE)


def test_only_the_first_transformer_blocks_are_adapted(words: Path) -> None:
    unet = sdxl(words).unet
    names = list(unet.attn_processors)
    for count in (1, 2):
        config = adapter_config(unet, 64, replace(SHAPE, transformer_blocks=count))
        adapted = {names[layer.processor] for layer in config.layers}
        wanted = {
            f"{block}.attentions.{attention}.transformer_blocks.{number}.attn2.processor"
            for block, attention in (("mid_block", 0), ("up_blocks.0", 0), ("up_blocks.0", 1))
            for number in range(count)
        }
        assert adapted == wanted


# More than one process


@pytest.mark.usefixtures("fresh_accelerate")
def test_two_processes_train_as_one_with_twice_the_batches(words: Path, tmp_path: Path) -> None:
    launched.run(words, tmp_path / "one", accumulation=2)
    environment = {
        **os.environ,
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, Path(__file__).parent))),
    }
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.accelerate_cli",
        "launch",
        "--multi_gpu",
        "--num_processes",
        "2",
    ]
    launch += [
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        "0",
    ]
    command = [*launch, launched.__file__, str(words), str(tmp_path / "two"), "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (load_file(tmp_path / name / "weights" / "ifadapter.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)
    start = adapter_stage(words).adapter.state_dict()
    assert max(float((one[name] - start[name]).abs().max()) for name in one) > 1e-3
    assert done.stdout.split() == ["save:0", "save:0", "sheet:0"]
    assert done.stderr.count("| 0/3 ") == 1
    assert (tmp_path / "one" / "losses.csv").read_bytes() == (tmp_path / "two" / "losses.csv").read_bytes()
    ranks = [
        sorted(path.name for path in (tmp_path / name / "state").glob("random_states_*"))
        for name in ("one", "two")
    ]
    assert ranks == [["random_states_0.pkl"], ["random_states_0.pkl", "random_states_1.pkl"]]
