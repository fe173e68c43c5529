"""Import the packages under test before pytest registers empty modules of the same names."""

from __future__ import annotations

import importlib

from package_of_same_name import restore

restore("shapes")
for folder in ("models", "recognition"):
    importlib.import_module(f"shapes.{folder}")
