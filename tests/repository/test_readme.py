"""What the README shows is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import reference
from ifadapter_core.layout_formats import from_json
from reference import make_release_checkpoint

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PROSE = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_layout_shown_is_a_layout() -> None:
    (text,) = blocks("json")
    assert len(from_json(text, 1024, 1024).instances) == 2


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    checkpoint = make_release_checkpoint(0, layers=[(13, 128, 64), (15, 128, 64)])
    torch.save(checkpoint, "spd_adapter.bin")
    Path("layout.json").write_text(blocks("json")[0])
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102
    weights = reference.double(checkpoint)["adapter_modules"]
    wanted = reference.layer_residual(
        reference.part(weights, f"{names['processor']}."),
        names["q"].double(),
        names["tokens"].cond.double(),
        names["tokens"].boxes,
        32,
        32,
    )
    residual = names["residual"]
    assert residual.shape == (1, 1024, 128)
    assert (residual - wanted).abs().max() < 1e-5 < wanted.abs().max()


def test_the_release_format_shown_is_read() -> None:
    annotations = [{"box": [0, 0, 384, 768], "caption": "a cat"}]
    assert from_json(json.dumps({"caption": "", "annotations": annotations}), 1024, 1024).boxes[0] == (
        0,
        0,
        0.5,
        1,
    )


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\[[^\]]*\]\((?!https?:)([^)#]+)\)", PROSE))))
def test_what_the_readme_links_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()
