"""Makes the modules of benchmarks/ importable, as they are for the scripts there."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
