"""Import preparation, which precedes all other imports, and the fixtures of the adapter's tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from package_of_same_name import restore

if TYPE_CHECKING:
    from training.adapter_stage import AdapterStage

sys.path.insert(0, str(Path(__file__).parent))  # launched, picture_files, toy_runs

restore("training")


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny models' tokenizer."""
    return tmp_path_factory.getbasetemp() / "tokenizer"


@pytest.fixture(params=["sd", "sdxl"])
def stage(request: pytest.FixtureRequest, words: Path) -> AdapterStage:
    """A new adapter on the tiny Stable Diffusion and the tiny SDXL."""
    import tiny_models

    return tiny_models.adapter_stage(words, pipeline=getattr(tiny_models, request.param)(words))


@pytest.fixture(autouse=True)
def few_sampling_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.adapter_stage.SHEET_STEPS", 2)
