"""Plain YAML values: the type of a setting decides what the text means, in files and in overrides."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml

from training.config import load_config
from training.config_reader import CONFIGS

MEANT = [
    ("adapter.loop.mixed_precision", "no", "no"),
    ("adapter.loop.mixed_precision", "'no'", "no"),
    ("adapter.gradient_checkpointing", "no", False),
    ("adapter.gradient_checkpointing", "off", False),
    ("adapter.gradient_checkpointing", "False", False),
    ("adapter.gradient_checkpointing", "yes", True),
    ("adapter.gradient_checkpointing", "on", True),
    ("adapter.gradient_checkpointing", "true", True),
    ("output", "2026", "2026"),
    ("output", "2026-11-27", "2026-11-27"),
    ("output", "007", "007"),
    ("output", "1e5", "1e5"),
    ("output", "yes", "yes"),
    ("output", "'null'", "null"),
    ("folder.path", "12:30", "12:30"),
    ("base", "null", None),
    ("base", "~", None),
    ("base", "", None),
    ("adapter.recipe", "null", None),
    ("adapter.loop.learning_rate", "1e-4", 1e-4),
    ("adapter.loop.learning_rate", "1E-4", 1e-4),
    ("adapter.loop.learning_rate", "2", 2.0),
    ("adapter.loop.learning_rate", ".5", 0.5),
    ("adapter.loop.steps", "010", 10),
    ("adapter.loop.steps", "100_000", 100_000),
    ("adapter.loop.betas", "[0.9, 1e-1]", (0.9, 0.1)),
    ("adapter.loop.trackers", "[]", ()),
    ("adapter.loop.trackers", "null", None),
    ("adapter.loop.trackers", "[wandb, on]", ("wandb", "on")),
    ("adapter.shape.text_depths", "[-2]", (-2,)),
    ("adapter.loss.middle", "0.25", 0.25),
    ("folder", "null", None),
    ("folder.held_out", "2%", "2%"),
    ("folder.held_out", "2", "2"),
]


def same(value: Any, expected: Any) -> bool:
    return value == expected and type(value) is type(expected)


@pytest.mark.parametrize(("key", "text", "expected"), MEANT)
def test_an_override_means_what_its_setting_expects(key: str, text: str, expected: Any) -> None:
    assert same(attrgetter(key)(load_config("sdxl", [f"{key}={text}"])), expected)


@pytest.mark.parametrize(("key", "text", "expected"), MEANT)
def test_a_file_means_the_same(tmp_path: Path, key: str, text: str, expected: Any) -> None:
    *sections, last = key.split(".")
    file = yaml.safe_load((CONFIGS / "sdxl.yaml").read_text("utf-8"))
    section = file
    for name in sections:
        section = section.setdefault(name, {})
    section[last] = "HERE"
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(file).replace("HERE", text))
    assert same(attrgetter(key)(load_config(str(tmp_path / "own.yaml"))), expected)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("adapter.loop.mixed_precision=off", "mixed_precision is 'off'; expected one of no, bf16, fp16."),
        ("adapter.loop.mixed_precision=null", "mixed_precision is None; expected one of no, bf16, fp16."),
        ("adapter.loop.steps=no", "adapter: loop: steps is 'no'; expected a value of type int."),
        ("adapter.loop.steps=''", "adapter: loop: steps is ''; expected a value of type int."),
        ("adapter.loop.steps=null", "adapter: loop: steps is None; expected a value of type int."),
        ("adapter.loop.learning_rate=1e", "learning_rate is '1e'; expected a value of type float."),
        ("adapter.loop.betas=[0.9]", "adapter: loop: betas is [0.9]; expected more values."),
        ("adapter.loop.betas=0.9", "adapter: loop: betas is 0.9; expected a list."),
        ("output=null", "sdxl.yaml: output is None; expected a value of type str."),
        ("output=[2026]", "sdxl.yaml: output is [2026]; expected a value of type str."),
        ("adapter.recipe=[paper]", "adapter: recipe is ['paper']; expected one of ours, paper."),
    ],
)
def test_what_fits_no_type_is_shown_as_it_was_written(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match="expected") as raised:
        load_config("sdxl", [setting])
    assert str(raised.value).endswith(message)


def test_all_problems_are_told_at_once_one_line_each() -> None:
    overrides = ["adapter.loop.stepps=1", "adapter.loop.warmup=x", "adapter.shape.heads=7", "folder={}"]
    with pytest.raises(ValueError, match="stepps") as raised:
        load_config("sdxl", overrides)
    lines = str(raised.value).splitlines()
    assert [line.partition(". The keys are")[0] for line in lines] == [
        "sdxl.yaml: adapter: shape: heads is 7; expected a divisor of width, which is 2560.",
        "sdxl.yaml: adapter: loop: warmup is 'x'; expected a value of type int.",
        "sdxl.yaml: adapter: loop: unknown: stepps",
        "sdxl.yaml: folder: missing: path",
        "sdxl.yaml: folder: missing: size",
    ]


def test_a_merge_key_of_yaml_works(tmp_path: Path) -> None:
    text = (CONFIGS / "sdxl.yaml").read_text("utf-8")
    text = text.replace("  loop:\n", "  loop:\n    <<: {seed: 7, steps: 1}\n")
    (tmp_path / "own.yaml").write_text(text)
    loop = load_config(str(tmp_path / "own.yaml")).adapter.loop
    assert (loop.seed, loop.steps) == (7, 100_000)


def test_a_config_that_is_no_yaml_is_one_line_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("output: x\nbase: [a\n", "utf-8")
    with pytest.raises(ValueError, match=r"^own\.yaml is not YAML: expected .* in line 3, column 1\.$"):
        load_config(str(path))
    with pytest.raises(ValueError, match=r"^base=\[a is not YAML: expected .*\.$"):
        load_config("sdxl", ["base=[a"])


@pytest.mark.parametrize(
    "setting",
    ["output", "base", "vae", "folder.path", "folder.held_out", "folder.shard_cache", "cache.path"],
)
def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("HOME", "/home/her")
    overrides = [f"{setting}=~/a", "folder.crops=1"]
    assert attrgetter(setting)(load_config("sdxl", overrides)) == "/home/her/a"
