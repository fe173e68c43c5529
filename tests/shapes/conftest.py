"""Import the packages under test before pytest registers empty modules of the same names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from package_of_same_name import restore

sys.path.append(str(Path(__file__).parent / "support"))

restore("shapes")
for folder in ("detail", "evidence", "models", "recognition", "results"):
    importlib.import_module(f"shapes.{folder}")
