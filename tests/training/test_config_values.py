"""Values of a config that are out of range: each is one line that names the key."""

from __future__ import annotations

import re

import pytest

from training.config import load_config


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("adapter.loop.steps=0", "adapter: loop: steps is 0; expected at least 1."),
        ("adapter.loop.accumulation=-1", "accumulation is -1; expected at least 1."),
        ("adapter.loop.save_every=0", "save_every is 0; expected at least 1."),
        ("adapter.loop.sample_every=0", "sample_every is 0; expected at least 1."),
        ("adapter.loop.learning_rate=0", "learning_rate is 0.0; expected more than 0."),
        ("adapter.loop.learning_rate=nan", "learning_rate is nan; expected more than 0."),
        ("adapter.loop.weight_decay=-0.1", "weight_decay is -0.1; expected at least 0."),
        ("adapter.loop.weight_decay=inf", "weight_decay is inf; expected at least 0."),
        ("adapter.loop.warmup=-1", "warmup is -1; expected at least 0."),
        ("adapter.loop.workers=-1", "workers is -1; expected at least 0."),
        ("adapter.loop.seed=-1", "seed is -1; expected at least 0."),
        ("adapter.loop.max_gradient_norm=0", "max_gradient_norm is 0.0; expected more than 0."),
        ("adapter.loop.ema_decay=1", "ema_decay is 1.0; expected 0 to 1, without 1."),
        ("adapter.batch_size=0", "adapter: batch_size is 0; expected at least 1."),
        ("adapter.samples=0", "samples is 0; expected at least 1."),
        ("adapter.guidance=-1", "guidance is -1.0; expected at least 0."),
        ("adapter.loss.drop_local=1.5", "adapter: loss: drop_local is 1.5; expected 0 to 1."),
        ("adapter.loss.drop_global=-0.1", "drop_global is -0.1; expected 0 to 1."),
        ("adapter.loss.drop_global=nan", "drop_global is nan; expected 0 to 1."),
        ("adapter.loss.box_weight=0", "box_weight is 0.0; expected more than 0."),
        ("adapter.loss.noises=0", "noises is 0; expected at least 1."),
        ("adapter.loss.middle=inf", "middle is inf; expected a finite number."),
        ("adapter.loss.snr_gamma=0", "snr_gamma is 0.0; expected more than 0."),
        ("adapter.loss.noise_offset=-0.1", "noise_offset is -0.1; expected at least 0."),
        ("adapter.loop.cycles=0", "cycles is 0; expected at least 1."),
        ("adapter.loop.power=0", "power is 0.0; expected more than 0."),
        ("adapter.loop.held_out_every=0", "held_out_every is 0; expected at least 1."),
        ("adapter.held_out_pictures=0", "held_out_pictures is 0; expected at least 1."),
        ("adapter.loop.betas=[0.9, 1]", "betas is [0.9, 1.0]; expected two numbers from 0 to 1, without 1."),
        ("adapter.loop.seed=4294967296", "seed is 4294967296; expected at most 4294967295."),
        (
            "folder.held_out=0%",
            "held_out is 0%; expected a share of more than 0% and at most 50%",
        ),
        ("adapter.shape.heads=7", "heads is 7; expected a divisor of width, which is 2560."),
        ("adapter.shape.heads=0", "heads is 0; expected at least 1."),
        ("adapter.shape.gate_kernel=6", "gate_kernel is 6; expected an odd number."),
        ("adapter.shape.blocks=[]", "blocks is empty; expected at least one value."),
        ("adapter.shape.text_depths=[]", "text_depths is empty"),
        ("adapter.shape.text_depths=[-2, 0]", "text_depths is [-2, 0]; expected negative numbers"),
        ("adapter.shape.slots=0", "slots is 0; expected at least 1."),
        ("adapter.shape.alpha=nan", "alpha is nan; expected a finite number."),
        ("folder.size=0", "folder: size is 0; expected at least 1."),
        ("folder.path=''", "folder: path is empty"),
        ("output=''", "sdxl.yaml: output is empty"),
    ],
)
def test_values_out_of_range_are_one_line_that_names_the_key(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        load_config("sdxl", [setting])
    assert str(raised.value).startswith("sdxl.yaml: ")
    assert "\n" not in str(raised.value)
