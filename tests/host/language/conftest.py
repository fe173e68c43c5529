"""These tests need language models and detectors of the host, which 0.14 does not have."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

MODULES = ("nodes_textgen", "nodes_rtdetr", "nodes_sam3")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = [name for name in MODULES if importlib.util.find_spec(f"comfy_extras.{name}") is None]
    skip = pytest.mark.skip(reason=f"this ComfyUI has no {', '.join(missing)}")
    for item in items:
        if missing and Path(__file__).parent in item.path.parents:
            item.add_marker(skip)
