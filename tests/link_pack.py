"""Link the packages under build/pack/ifadapter_pack, a fixed name for the pack as ComfyUI loads it.

The modules in nodes/ import ``..ifadapter_core``, which resolves only inside a parent package, and
the folder of a clone can have any name, even one that is no Python identifier. mypy and import-
linter read the sources through these links.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ifadapter_core", "ifadapter_diffusers", "nodes", "shapes", "training", "demo", "evaluation")


def link_pack(root: Path) -> Path:
    """Link each package of ``root`` into ``root/build/pack/ifadapter_pack``; return ``root/build/pack``."""
    parent = root / "build" / "pack"
    package = parent / "ifadapter_pack"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    for name in PACKAGES:
        link = package / name
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(root / name, package), target_is_directory=True)
    return parent


if __name__ == "__main__":
    link_pack(ROOT)
