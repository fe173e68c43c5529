"""Configs for accelerate: the examples load, and what the trainer cannot do is one line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import launched
import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from torch import nn

from training.config import LoopConfig
from training.processes.fsdp import ShardedWeights
from training.processes.launch import weights_of
from training.processes.zero import ZeroWeights

FOLDER = Path(__file__).resolve().parents[3] / "training" / "accelerate"
EXAMPLES = {
    "ddp_8": ("MULTI_GPU", 1, 8),
    "fsdp_8": ("FSDP", 1, 8),
    "two_machines": ("MULTI_GPU", 2, 16),
    "zero2_8": ("DEEPSPEED", 1, 8),
}


def test_each_example_loads() -> None:
    found = {path.stem: load_config_from_file(str(path)) for path in FOLDER.glob("*.yaml")}
    assert {
        name: (config.distributed_type.value, config.num_machines, config.num_processes)
        for name, config in found.items()
    } == EXAMPLES
    for name, variable in (("version", "FSDP_VERSION"), ("auto_wrap_policy", "FSDP_AUTO_WRAP_POLICY")):
        assert str(found["fsdp_8"].fsdp_config[f"fsdp_{name}"]) == launched.FSDP[variable]
    stage = launched.ZERO["ACCELERATE_DEEPSPEED_ZERO_STAGE"]
    assert str(found["zero2_8"].deepspeed_config["zero_stage"]) == stage


def accelerator(**state: Any) -> Any:
    return SimpleNamespace(state=SimpleNamespace(**state))


@pytest.mark.parametrize(
    ("version", "settings", "message"),
    [
        (1, {}, r"fsdp_version 1\. Set fsdp_version: 2"),
        (2, {"optimizer": "adamw8bit"}, r"adamw8bit, which FSDP cannot divide.*optimizer=adamw"),
    ],
)
def test_what_fsdp_cannot_do_is_one_line(version: int, settings: dict[str, Any], message: str) -> None:
    plugin = SimpleNamespace(fsdp_version=version, auto_wrap_policy=None)
    with pytest.raises(ValueError, match=message):
        ShardedWeights(accelerator(fsdp_plugin=plugin)).prepare(
            nn.Linear(1, 1), LoopConfig(steps=1, **settings)
        )


@pytest.mark.parametrize(
    ("stage", "settings", "message"),
    [
        (3, {}, r"zero_stage 3; expected 1 or 2"),
        (2, {"mixed_precision": "fp16"}, r"fp16\. With DeepSpeed train with bf16 or no"),
    ],
)
def test_what_zero_cannot_do_is_one_line(stage: int, settings: dict[str, Any], message: str) -> None:
    plugin = SimpleNamespace(zero_stage=stage)
    with pytest.raises(ValueError, match=message):
        ZeroWeights(accelerator(deepspeed_plugin=plugin)).prepare(
            nn.Linear(1, 1), LoopConfig(steps=1, **settings)
        )


def test_other_ways_of_dividing_weights_are_one_line() -> None:
    other = SimpleNamespace(distributed_type=DistributedType.MEGATRON_LM)
    with pytest.raises(ValueError, match=r"asks for MEGATRON_LM; expected MULTI_GPU, FSDP or DEEPSPEED"):
        weights_of(other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy",
    [
        {"FSDP_AUTO_WRAP_POLICY": "SIZE_BASED_WRAP", "FSDP_MIN_NUM_PARAMS": "3000"},
        {"FSDP_TRANSFORMER_CLS_TO_WRAP": "BasicTransformerBlock,PerceiverAttention"},
    ],
)
def test_fsdp_of_other_parts_than_the_unets_blocks_is_one_line(
    words: Path, tmp_path: Path, policy: dict[str, str]
) -> None:
    environment = {**launched.FSDP, **policy}
    code, _, errors = launched.finish(launched.launch(words, tmp_path / "run", environment=environment))
    assert code != 0
    assert "Shard blocks of the UNet only: set fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP" in errors
