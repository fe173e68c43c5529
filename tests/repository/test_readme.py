"""The examples, links and pictures of the README work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import reference
from archive import tracked_files
from ifadapter_core.layout_formats import from_json
from reference import make_release_checkpoint

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


def test_python_example_computes_the_reference_residual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    checkpoint = make_release_checkpoint(0, layers=[(13, 128, 64), (15, 128, 64)])
    torch.save(checkpoint, "spd_adapter.bin")
    Path("layout.json").write_text(blocks("json")[0])
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102
    weights = reference.double(checkpoint)["adapter_modules"]
    expected = reference.layer_residual(
        reference.part(weights, f"{names['processor']}."),
        names["q"].double(),
        names["tokens"].cond.double(),
        names["tokens"].boxes,
        32,
        32,
    )
    residual = names["residual"]
    assert residual.shape == (1, 1024, 128)
    assert (residual - expected).abs().max() < 1e-5 < expected.abs().max()


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
