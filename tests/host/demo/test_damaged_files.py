"""Missing and damaged files of the demo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from demo_case import DEMO
from loaded_pack import pack_module

CONFIGS = ("unet/config.json", "vae/config.json", "text_encoder/config.json", "tokenizer/tokenizer.json")
WEIGHTS = (
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "ifadapter.safetensors",
)


@pytest.fixture
def damaged(tmp_path, monkeypatch) -> Path:
    """A copy of the demo's folder, used by the demo node."""
    folder = tmp_path / "demo"
    shutil.copytree(DEMO, folder)
    monkeypatch.setattr(pack_module("nodes.host.demo.load"), "FOLDER", folder)
    return folder


def assert_names(node: Callable[..., tuple], path: Path, *parts: str) -> None:
    with pytest.raises(RuntimeError, match="The demo's models cannot be loaded") as caught:
        node("IFAdapterDemoModels")
    for part in (str(path), "Reinstall ComfyUI-IFAdapter", *parts):
        assert part in str(caught.value)


def test_no_folder(node, damaged):
    shutil.rmtree(damaged)
    assert_names(node, damaged / "ifadapter.safetensors", "missing")


@pytest.mark.parametrize("name", [*CONFIGS, *WEIGHTS])
def test_missing_file(node, damaged, name):
    (damaged / name).unlink()
    assert_names(node, damaged / name, "missing")


@pytest.mark.parametrize("name", [*CONFIGS, *WEIGHTS])
def test_truncated_file(node, damaged, name):
    content = (damaged / name).read_bytes()
    (damaged / name).write_bytes(content[: len(content) // 2])
    assert_names(node, damaged / name)


@pytest.mark.parametrize("name", CONFIGS)
def test_empty_config(node, damaged, name):
    (damaged / name).write_text("{}")
    assert_names(node, damaged / name)


def test_vocabulary_of_another_text_encoder(node, damaged):
    path = damaged / "tokenizer" / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["vocab"]["another"] = len(data["model"]["vocab"])
    path.write_text(json.dumps(data))
    assert_names(node, path)


@pytest.mark.parametrize("kind", ["missing", "unexpected", "of the wrong shape"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_another_model(node, damaged, name, kind):
    tensors = load_file(damaged / name)
    with safe_open(damaged / name, framework="pt") as file:
        metadata = file.metadata()
    changed = next(key for key in tensors if key.endswith(".bias"))
    if kind == "missing":
        del tensors[changed]
    elif kind == "unexpected":
        tensors["another.weight"] = torch.zeros(3)
    else:
        tensors[changed] = torch.zeros(3, 5)
    save_file(tensors, damaged / name, metadata)
    assert_names(node, damaged / name, f"1 {kind}: ")
