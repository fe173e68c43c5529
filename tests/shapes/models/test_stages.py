"""The demo's stages in order, one or two steps each: every stage reads the weights of earlier ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file

import training.__main__ as command
from ifadapter_core.storage import load_weights
from ifadapter_diffusers.base_model import BaseModel
from shapes.models.config import load_shapes_config
from shapes.models.export import export
from shapes.models.stages import DemoRun

pytestmark = pytest.mark.slow

STAGES = ("vae", "unet", "adapter")


def test_all_stages_train_and_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As small as possible.
    for name, number in (
        ("shapes.models.stages.SENTENCES", 20),
        ("shapes.models.unet.STEPS", 1),
        ("training.adapter_stage.SHEET_STEPS", 1),
    ):
        monkeypatch.setattr(name, number)
    settings = [
        f"output={tmp_path}",
        "shapes.cached=4",
        "adapter.batch_size=2",
        "adapter.samples=1",
        "adapter.loop.steps=2",
    ]
    for stage in STAGES[:-1]:
        settings += [f"shapes.{stage}.batch_size=2", f"shapes.{stage}.loop.steps=1"]

    # Train.
    for stage in STAGES:
        command.main([stage, *settings])
        assert list((tmp_path / stage / "samples").iterdir())
        assert (tmp_path / stage / "state").is_dir()
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    # The base model and the adapter fit each other.
    config = load_shapes_config(overrides=settings)
    pipeline = DemoRun(tmp_path, config.shapes).pipeline()
    weights = load_weights(tmp_path / "adapter" / "weights" / "ifadapter.safetensors").config
    assert weights.resampler.text_width == BaseModel(pipeline).text_width
    assert len(weights.layers) == 7

    # Export, and read the files again.
    exported = tmp_path / "exported"
    assert export(DemoRun(tmp_path, config.shapes), exported) == sum(
        path.stat().st_size for path in exported.rglob("*.safetensors")
    )
    names = load_file(exported / "text_encoder" / "model.safetensors")
    assert all(name.startswith("text_model.") for name in names)  # as in CLIP's own files
    bases = BaseModel(pipeline), BaseModel.from_pretrained(str(exported))
    original, reread = (base.condition(["a red circle"], (128, 128)).text_states for base in bases)
    assert torch.allclose(original, reread, atol=0.02)  # in half precision
