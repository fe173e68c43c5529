"""Work around pytest's module names: a test folder may have the name of one of our packages.

pytest imports tests/training/test_config.py as ``training.test_config`` and registers an empty parent
module ``training``, which hides the real package.
"""

from __future__ import annotations

import importlib
import sys


def restore(name: str) -> None:
    """Replace pytest's empty parent module with the project's package of this name."""
    sys.modules.pop(name, None)
    importlib.import_module(name)
