"""docs/evaluation.md shows valid commands and sweep files; nothing that is shipped needs the evaluation."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.__main__ import COMMANDS, main
from evaluation.commands.sweep_file import read_sweep
from evaluation.generate.settings import DiffusersSettings
from evaluation.generate.workflow import read_workflow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "evaluation.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LINES = [
    shlex.split(line)
    for _, block in BLOCKS
    for line in block.splitlines()
    if line.startswith("python -m evaluation ")
]
SWEEPS = sorted((ROOT / "evaluation" / "sweeps").glob("*.yaml"))


def parse(words: list[str]) -> argparse.Namespace:
    command = importlib.import_module(f"evaluation.commands.{words[0]}")
    parser = argparse.ArgumentParser(words[0])
    command.add_arguments(parser)
    return parser.parse_args(words[1:])


@pytest.mark.parametrize("words", [line[3:] for line in LINES], ids=" ".join)
def test_the_options_of_every_command_exist(words: list[str]) -> None:
    options = parse(words)
    workflow = getattr(options, "workflow", None)
    if workflow is not None:
        read_workflow(ROOT / workflow, options.slot or (), options.set or ())
    if words[0] == "sweep":
        assert (ROOT / options.config).is_file()


def test_the_page_shows_every_command() -> None:
    assert {line[3] for line in LINES} >= set(COMMANDS)


def test_the_sweep_file_shown_is_valid(tmp_path: Path) -> None:
    (text,) = (block for language, block in BLOCKS if language == "yaml")
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    assert len(read_sweep(path).points) == 2 + 3 + 12


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_our_sweep_files_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # paths in sweep files are relative to the root of the pack
    sweep = read_sweep(path)
    for point in sweep.points:
        source = point.settings.source
        if not isinstance(source, DiffusersSettings):
            assert {"layout", "seed", "image"} <= source.workflow.slots.keys()
    assert len({point.name for point in sweep.points}) == len(sweep.points)
    assert sweep.score.detector
    assert sweep.score.verifiers


def test_the_drawings_of_the_drawn_world_are_scored_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build, score = (
        next(line[3:] for line in LINES if line[3] == name and "shapes" in " ".join(line[4:]))
        for name in ("build", "score")
    )
    real = next(
        line[3:]
        for line in LINES
        if line[3] == "score" and any(word.endswith("shapes/real") for word in line)
    )
    assert main([*build, "--count", "2"]) == main(real) == 0
    assert main(score) == 2
    assert (tmp_path / "runs/evaluation/scores/shapes_real/table.md").exists()


@pytest.mark.slow
def test_the_commands_of_the_drawn_world_run_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").symlink_to(ROOT / "demo", target_is_directory=True)
    small = [line[3:] for line in LINES if "shapes" in " ".join(line) and "sweep" not in " ".join(line)]
    assert len(small) == 10
    for words in small:
        assert (
            main(
                [
                    *words,
                    *{"build": ["--count", "2"], "generate": ["--steps", "2"]}.get(words[0], []),
                ]
            )
            == 0
        )
    for name in ("full", "eot", "caption"):
        assert len(list(tmp_path.glob(f"runs/evaluation/shapes_{name}/*.png"))) == 2
        assert (tmp_path / f"runs/evaluation/scores/shapes_{name}/table.md").exists()


def test_nothing_that_is_shipped_imports_the_evaluation() -> None:
    folders = ("nodes", "ifadapter_core", "training", "demo")
    sources = [
        ROOT / "__init__.py",
        *(path for folder in folders for path in (ROOT / folder).rglob("*.py")),
    ]
    assert len(sources) > 50
    assert not [
        path
        for path in sources
        if re.search(r"^\s*(from|import)\s+\.*evaluation\b", path.read_text("utf-8"), re.MULTILINE)
    ]


@pytest.mark.slow
def test_generating_with_comfyui_needs_no_torch() -> None:
    """So that ``generate`` runs on a machine without torch."""
    modules = "evaluation.commands.generate, evaluation.generate.comfyui"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
