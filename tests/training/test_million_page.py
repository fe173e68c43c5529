"""The page on a million pictures: its commands take the options shown, and its links lead to sections."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest
from accelerate.commands.launch import launch_command_parser

import training.__main__ as command
from evaluation.commands import describe
from training.config import load_config

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "training_on_a_million_pictures.md"
TEXT = PAGE.read_text("utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
LINES = [shlex.split(line) for block in BLOCKS for line in block.splitlines()]
STEPS = [line for line in LINES if line[0] in ("python", "accelerate")]


def module_of(line: list[str]) -> tuple[str, list[str]]:
    """The module that a line runs, and its arguments."""
    place = line.index("-m")
    return line[place + 1], line[place + 2 :]


@pytest.mark.parametrize("line", STEPS, ids=" ".join)
def test_the_commands_take_the_options_shown(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    module, words = module_of(line)
    if line[0] == "accelerate":
        options = launch_command_parser().parse_args(line[2:])
        assert (ROOT / options.config_file).is_file()
        assert options.module
    if module == "evaluation":
        assert words[0] == "describe"
        parser = argparse.ArgumentParser()
        describe.add_arguments(parser)
        parser.parse_args(words[1:])
    elif words[0] == "shard":
        with pytest.raises(SystemExit) as ended:
            command.main([*words, "--help"])
        assert ended.value.code == 0
        assert words[1:] == ["data/pictures", "data/shards"]
    else:
        assert words[:3] in (["cache", "--config", "sdxl"], ["adapter", "--config", "sdxl"])
        config = load_config("sdxl", words[3:])
        assert config.cache is not None


def test_the_page_goes_from_pictures_to_a_training() -> None:
    words = [f"{module} {rest[0]}" for module, rest in map(module_of, STEPS)]
    order = ["evaluation describe", "training shard", "training cache", "training adapter"]
    assert list(dict.fromkeys(words)) == order


def test_a_step_has_the_papers_160_pictures() -> None:
    for line in STEPS:
        module, words = module_of(line)
        if (module, words[0]) == ("training", "adapter"):
            adapter = load_config("sdxl", words[3:]).adapter
            processes = 16 if "--machine_rank" in line else 8
            assert adapter.batch_size * adapter.loop.accumulation * processes == 160


def test_its_links_lead_to_sections() -> None:
    links = re.findall(r"\]\(([^)]*\.md)(?:#([^)]*))?\)", TEXT)
    assert len(links) >= 5
    for path, section in links:
        target = (PAGE.parent / path).read_text("utf-8")
        titles = re.findall(r"^#+ (.*)$", target, re.MULTILINE)
        assert not section or section in {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles
        }
