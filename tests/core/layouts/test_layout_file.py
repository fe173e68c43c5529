"""Layouts from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ifadapter_core.layout import Layout, LayoutError
from ifadapter_core.layout_formats import from_json

TEXT = json.dumps(
    {"caption": "a cat", "boxes": [{"x": 0.1, "y": 0.2, "w": 0.5, "h": 0.5, "caption": "a ginger cat"}]}
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_read_as_its_text(tmp_path: Path, kind: type, encoding: str) -> None:
    text = TEXT.replace("ginger", "r\u00f6tlich")
    path = tmp_path / "layout.json"
    path.write_text(text, encoding=encoding)
    assert Layout.from_json(kind(path), width=640, height=480) == from_json(text, 640, 480)


@pytest.mark.parametrize("text", [TEXT, f"\n {TEXT}", "[]"])
def test_text_is_no_path(text: str) -> None:
    with pytest.raises(LayoutError, match="reads a file, and got JSON text"):
        Layout.from_json(text, width=640, height=480)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "layout.json"
    path.write_text("a cat")
    with pytest.raises(LayoutError, match=r"layout\.json: The layout cannot be read as JSON"):
        Layout.from_json(path, width=640, height=480)
    path.write_bytes(b"\xff\xfe[\x00")
    with pytest.raises(LayoutError, match=r"layout\.json is not UTF-8 text"):
        Layout.from_json(path, width=640, height=480)
    with pytest.raises(FileNotFoundError):
        Layout.from_json(tmp_path / "other.json", width=640, height=480)


def test_notices_about_a_file_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "layout.json"
    path.write_text(f"Here is the layout:\n```json\n{TEXT}\n```")
    Layout.from_json(path, width=640, height=480)
    assert "IFAdapter: " in caplog.text
