"""The loader node, and files for it."""

from __future__ import annotations

import io
from typing import Any

import torch

import nodes


def loader() -> Any:
    return nodes.NODE_CLASS_MAPPINGS["IFAdapterLoader"]


def choices() -> list[str]:
    """The file names in the loader's combo box."""
    return loader().GET_NODE_INFO_V1()["input"]["required"]["adapter_name"][1]["options"]


def saved(data: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(data, buffer)
    return buffer.getvalue()
