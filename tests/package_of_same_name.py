"""pytest names the modules of ``tests/training`` ``training.*`` and makes up an empty parent of that name. This restores ours."""

from __future__ import annotations

import importlib
import sys


def restore(name: str) -> None:
    """Import the project's package of this name in place of the parent module that pytest made up."""
    sys.modules.pop(name, None)
    importlib.import_module(name)
