"""Prepares the import of what is tested here, before any of it is imported."""

from __future__ import annotations

import sys
from pathlib import Path

from package_of_same_name import restore

sys.path.insert(0, str(Path(__file__).parent))  # launched

restore("training")
