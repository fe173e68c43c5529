"""Training an adapter with less precision or memory, on another device, in several processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import launched
import pytest
import torch
from safetensors.torch import load_file

from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import sample_layouts
from tiny_models import SHAPE, SIZE, Batches, adapter_stage, gradients, layout, sd, sdxl, set_alpha
from training.adapter_stage import AdapterStage
from training.config import AdapterLoss, LoopConfig
from training.loop import train
from training.objective.denoising import LayoutBatch

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = {"sd": sd, "sdxl": sdxl}
CONFIG = LoopConfig(
    steps=4, learning_rate=1e-3, weight_decay=0.0, ema_decay=0.9, save_every=100, sample_every=100
)


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
    assert len(calls) > 2  # recomputed in the backward pass
    assert plain.keys() == saved.keys()
    assert all(torch.allclose(plain[name], saved[name], rtol=1e-4, atol=1e-7) for name in plain)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_training_in_bfloat16_has_nearly_the_same_losses(words: Path, tmp_path: Path) -> None:
    """From pixels, with the base model in bfloat16 too; the adapter stays float32."""
    sdxl(words).save_pretrained(tmp_path / "base")
    curves = {}
    for precision, dtype in (("no", torch.float32), ("bf16", torch.bfloat16)):
        base = BaseModel.from_pretrained(str(tmp_path / "base"), dtype)
        torch.manual_seed(1)
        stage = AdapterStage(base, SHAPE, AdapterLoss(), PixelBatches(), [layout(0), layout(1)])
        set_alpha(stage.adapter, 0.5)
        losses: list[float] = []
        stage.objective.register_forward_hook(lambda _, __, loss, losses=losses: losses.append(loss.item()))
        train(stage, replace(CONFIG, mixed_precision=precision), tmp_path / precision)
        assert {parameter.dtype for parameter in stage.adapter.parameters()} == {torch.float32}
        assert (tmp_path / precision / "samples" / "step_000004.png").exists()
        curves[precision] = torch.tensor(losses)
        reset_accelerate()
    assert curves["bf16"].isfinite().all()
    assert torch.allclose(curves["bf16"], curves["no"], rtol=0.02)
    assert not torch.equal(curves["bf16"], curves["no"])


def reset_accelerate() -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


class PixelBatches(Batches):
    """Random pixels instead of latents."""

    def __getitem__(self, number: int) -> LayoutBatch:
        images = torch.rand(self.size, 3, SIZE, SIZE, generator=seeded_generator(4, number)) * 2 - 1
        return LayoutBatch(super().__getitem__(number).layouts, images=images)


@pytest.mark.slow
def test_all_tensors_follow_the_model_to_another_device(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixing the meta device with the CPU is an error. It has no values, so phrases have a fixed length."""
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


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_two_processes_train_as_one_with_twice_the_accumulation(words: Path, tmp_path: Path) -> None:
    launched.run(words, tmp_path / "one", accumulation=2)
    environment = {
        **os.environ,
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests"))),
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
    lines = done.stdout.splitlines()
    assert [line for line in lines if ":" in line] == ["save:0", "save:0", "sheet:0"]
    assert sum(line.startswith("two  step 3  loss ") for line in lines) == 1  # of one process only
    losses = [(tmp_path / name / "losses.csv").read_text().split()[1].split(",") for name in ("one", "two")]
    assert losses[0][0] == losses[1][0] == "3"
    assert float(losses[0][1]) == pytest.approx(float(losses[1][1]), abs=1e-5)
    held_out = [
        [float(value) for value in (tmp_path / name / "held_out.csv").read_text().split()[-1].split(",")]
        for name in ("one", "two")
    ]
    assert held_out[0][0] == held_out[1][0] == 3
    assert held_out[0] == pytest.approx(held_out[1], abs=1e-4)
    bands = [
        {key: value for key, value in line.items() if key.startswith("loss_by_timestep/")}
        for name in ("one", "two")
        for line in map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
        if "train/loss" in line
    ]
    assert len(bands) == 2
    assert bands[0] == pytest.approx(bands[1], abs=1e-4)  # of the rows of both processes
    ranks = [
        sorted(path.name for path in (tmp_path / name / "state").glob("random_states_*"))
        for name in ("one", "two")
    ]
    assert ranks == [["random_states_0.pkl"], ["random_states_0.pkl", "random_states_1.pkl"]]
