"""The examples, links and pictures of the README work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from archive import tracked_files
from ifadapter_core.layout_formats import from_json
from reference import make_release_checkpoint
from tiny_models import SHAPE, sdxl
from training.new_adapter import adapter_config

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/comfyui-ifadapter/ComfyUI-IFAdapter"
RAW = "https://raw.githubusercontent.com/comfyui-ifadapter/ComfyUI-IFAdapter/main/"
README = (ROOT / "README.md").read_text()
PROSE = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_layout_example_is_valid() -> None:
    (text,) = blocks("json")
    assert len(from_json(text, 1024, 1024).instances) == 2


@pytest.fixture
def small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The files of the Python example for a tiny SDXL. Returns what the example says -> what is there."""
    monkeypatch.chdir(tmp_path)
    pipe = sdxl(tmp_path / "tokenizer")
    pipe.save_pretrained("sdxl")
    layers = adapter_config(pipe.unet, 64, SHAPE).layers
    shapes = [(layer.processor, layer.width, layer.head_dim) for layer in layers]
    torch.save(make_release_checkpoint(0, text_width=64, layers=shapes), "spd_adapter.bin")
    for name in ("layout.json", "other.json"):
        Path(name).write_text(blocks("json")[0])
    return {
        "stabilityai/stable-diffusion-xl-base-1.0": "sdxl",
        "torch.float16": "torch.float32",
        '"cuda"': '"cpu"',
        "width=1024, height=1024": "width=64, height=64",
        "num_inference_steps=30": "num_inference_steps=2",
        "num_images_per_prompt=2,": "num_images_per_prompt=2, num_inference_steps=2,",
    }


@pytest.mark.slow
def test_python_example_draws_the_layout(small_files: dict[str, str]) -> None:
    (code,) = blocks("python")
    for written, there in small_files.items():
        assert written in code
        code = code.replace(written, there)
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102
    pictures = [names["image"], *names["images"]]
    assert [picture.size for picture in pictures] == [(64, 64)] * 5

    torch.manual_seed(0)
    plain = names["pipe"](
        names["layout"].prompt,
        height=64,
        width=64,
        negative_prompt="blurry",
        num_inference_steps=2,
        guidance_scale=7.5,
    )
    assert plain.images[0].tobytes() != names["image"].tobytes()
    assert names["ifadapter"].adapter is None


def test_release_format_is_read() -> None:
    annotations = [{"box": [0, 0, 384, 768], "caption": "a cat"}]
    assert from_json(json.dumps({"caption": "", "annotations": annotations}), 1024, 1024).boxes[0] == (
        0,
        0,
        0.5,
        1,
    )


def linked_files() -> set[str]:
    """Targets of the README's links into this repository, relative or absolute, as paths."""
    return set(re.findall(rf"\]\((?:{REPOSITORY}/blob/main/|(?!https?:))([^)#]+)", PROSE))


@pytest.mark.parametrize("link", sorted(linked_files()))
def test_linked_files_exist(link: str) -> None:
    assert (ROOT / link).exists()


def test_pictures_are_committed_files_at_absolute_urls() -> None:
    """The registry's page shows the README without the repository, so it needs absolute URLs."""
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PROSE)
    assert len(pictures) >= 3
    for url in pictures:
        assert url.startswith(RAW)
        assert url.removeprefix(RAW) in tracked_files()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(workflows/\S*|[a-z_]+\.json)`", PROSE))))
def test_named_workflows_exist(name: str) -> None:
    assert (ROOT / name).exists() or (ROOT / "workflows" / name).exists()
