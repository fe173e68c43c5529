"""The pack as the host's loader imported it, under the module name that the host gave it."""

from __future__ import annotations

import importlib
from types import ModuleType

import nodes


def pack_module(name: str = "") -> ModuleType:
    """A module of the loaded pack, such as ``nodes.host.rows``, or its root package."""
    root = nodes.NODE_CLASS_MAPPINGS["IFAdapterLoader"].__module__.removesuffix(".nodes.loader")
    return importlib.import_module(f"{root}.{name}" if name else root)
