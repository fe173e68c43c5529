"""The command that measures a training step, on tiny models: rows, failures, the time limit, files."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ifadapter_core.adapter import IFAdapter
from training.__main__ import main
from training.config import load_config
from training.cost import bench, random_base
from training.cost.bench import Bench, Case, all_cases
from training.cost.random_base import ARCHITECTURES, Architecture
from training.new_adapter import adapter_config

TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 6, "num_attention_heads": 2}
UNET: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (32, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "attention_head_dim": 2,
}
VAE: dict[str, Any] = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
    "latent_channels": 4,
}
TINY = {
    "sdxl": Architecture(
        32,
        {
            **UNET,
            "cross_attention_dim": 64,
            "transformer_layers_per_block": 2,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 32 + 6 * 8,
            "use_linear_projection": True,
        },
        VAE,
        ({**TEXT, "projection_dim": 32},) * 2,
    ),
    "sd15": Architecture(32, {**UNET, "cross_attention_dim": 32}, VAE, ({**TEXT, "projection_dim": 32},)),
}
SMALL = [
    "folder.size=32",
    "adapter.shape.width=16",
    "adapter.shape.heads=2",
    "adapter.shape.blocks=[mid_block]",
]

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, architecture in TINY.items():
        monkeypatch.setitem(ARCHITECTURES, name, architecture)


def command(folder: Path, *arguments: str) -> dict[str, Any]:
    """The content of ``cost.json``."""
    main(["cost", "--output", str(folder), *arguments, *SMALL])
    return json.loads((folder / "cost.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("config", ["sdxl", "sd15"])
def test_every_row_is_measured(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.cost.command.BATCH_SIZES", (1, 2))
    found = command(tmp_path / "new", "--config", config)
    rows = found["rows"]
    assert [row["row"] for row in rows] == [case.name for case in all_cases((1, 2))]
    assert len({row["row"] for row in rows}) == 8
    for row in rows:
        assert row["error"] is None
        assert row["steps"] >= 2
        assert row["batch_seconds"] > 0
        assert row["optimizer_seconds"] > 0
        assert row["peak_gib"] is None  # on a CPU
    assert found["device"] == "cpu"
    assert found["precision"] == "bf16"
    lines = (tmp_path / "new" / "cost.md").read_text().splitlines()
    assert [line.count("|") for line in lines[2:]] == [9] * 10
    assert lines[-1] in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("cuDNN\nmore")],
    ids=["memory", "other"],
)
def test_a_row_that_fails_does_not_end_the_others(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails between the backward pass and the optimizer, with gradients left."""
    update = Bench._update
    calls: list[int] = []

    def fail_once(bench: Bench) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise error
        update(bench)

    monkeypatch.setattr(Bench, "_update", fail_once)
    rows = command(tmp_path, "--rows", "2-pixels,1-pixels,2-cached")["rows"]
    reasons = {"OutOfMemoryError": "out of memory", "RuntimeError": "RuntimeError: cuDNN"}
    assert [row["error"] for row in rows] == [reasons[type(error).__name__], None, None]
    assert [row["steps"] > 0 for row in rows] == [False, True, True]


def test_rows_that_would_pass_the_limit_are_left_out(tmp_path: Path) -> None:
    rows = command(tmp_path, "--seconds", "0", "--rows", "1-pixels,1-cached")["rows"]
    assert [row["error"] for row in rows] == ["no time left"] * 2


def test_a_row_that_takes_too_long_for_what_is_left_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the seconds per picture of the rows before: a clock that only steps move."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    passes = Bench._passes

    def slow(bench: Bench, batch: Any, generator: torch.Generator) -> Tensor:
        now[0] += 10 * len(batch.layouts)
        return passes(bench, batch, generator)

    monkeypatch.setattr(Bench, "_passes", slow)
    rows = command(tmp_path, "--seconds", "95", "--rows", "1-pixels,4-pixels,1-cached")["rows"]
    assert [row["error"] for row in rows] == [None, "no time left", None]
    assert rows[0]["batch_seconds"] == 10


def test_cached_rows_run_no_text_encoder_and_no_autoencoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[dict[str, int]] = []
    measure = Bench.measure

    def counted(bench: Bench, case: Case, deadline: float) -> Any:
        calls = {"text": 0, "vae": 0}
        counts.append(calls)
        base = bench.stage.base

        def count(key: str) -> Any:
            return lambda *_: calls.__setitem__(key, calls[key] + 1)

        hooks = [
            model.register_forward_pre_hook(count(key))
            for key, model in (
                *(("text", encoder) for encoder in getattr(base, "text_encoders", ())),
                *(("vae", part.encoder) for part in (getattr(base, "vae", None),) if part),
            )
        ]
        cost = measure(bench, case, deadline)
        for hook in hooks:
            hook.remove()
        return cost

    monkeypatch.setattr(Bench, "measure", counted)
    rows = command(tmp_path, "--rows", "2-cached,2-pixels")["rows"]
    assert [row["row"] for row in rows] == ["2-pixels", "2-cached"]
    assert counts[0]["text"] > 0
    assert counts[0]["vae"] > 0
    assert counts[1] == {"text": 0, "vae": 0}


def test_checkpointing_recomputes_the_unet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, int] = {}
    steps = Bench._steps

    def counted(bench: Bench, case: Case, deadline: float) -> Iterator[tuple[float, float]]:
        block = bench.stage.base.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k
        calls[case.name] = 0

        def count(*_: Any) -> None:
            calls[case.name] += 1

        hook = block.register_forward_hook(count)
        yield from steps(bench, case, deadline)
        hook.remove()

    monkeypatch.setattr(Bench, "_steps", counted)
    names = ["1-cached-checkpointing", "1-cached"]
    rows = command(tmp_path, "--rows", ",".join(names))["rows"]
    per_step = [calls[name] / (row["steps"] + bench.WARM_UP) for name, row in zip(names, rows, strict=True)]
    assert per_step == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "4-latents"], r"There is no row '4-latents'; expected a batch size and one of"),
        (["--rows", "0-pixels"], r"There is no row '0-pixels'"),
        (["--config", "shapes"], r"shapes\.yaml: unknown: shapes"),
        (["adapter.loop.mixed_precision=fp16"], r"fp16, which needs a GPU\. On the CPU use bf16 or no\."),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["cost", "--output", str(tmp_path), *arguments])
    assert exit_.value.code == 2
    found = capsys.readouterr().err
    assert re.search(message, found)
    assert found.count("\n") == 1


def test_random_bases_have_the_sizes_of_the_released_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of weights as published; on the meta device, which holds none."""
    monkeypatch.undo()
    expected = {
        "sdxl": (2_567_463_684, 83_653_863, [123_060_480, 694_659_840], 519_750_464),
        "sd15": (859_520_964, 83_653_863, [123_060_480], None),
    }
    meta = torch.device("meta")
    for name, (unet, vae, texts, adapter) in expected.items():
        base = random_base.random_base(ARCHITECTURES[name], meta, torch.bfloat16)
        assert weights(base.unet) == unet
        assert weights(base.vae) == vae
        assert [weights(encoder) for encoder in base.text_encoders] == texts
        assert {base.unet.dtype, base.text_encoders[0].dtype} == {torch.bfloat16}
        config = adapter_config(base.unet, base.text_width, load_config(name).adapter.shape)
        if adapter:
            assert weights(IFAdapter(config, device=meta)) == adapter


def weights(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())
