"""Check with import-linter which package imports which; the contracts are in pyproject.toml.

The modules in nodes/ import ``..ifadapter_core``, which resolves only inside a parent package, and
the folder of a clone can have any name, even one that is not a Python identifier. So the packages are
linked under build/pack/ifadapter_pack, a fixed name for the pack as ComfyUI loads it. mypy reads
nodes/ through the same links.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

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


def main(root: Path) -> None:
    """Check the contracts of root/pyproject.toml and exit, with status 1 if one is broken."""
    from importlinter.cli import lint_imports_command

    sys.path[:0] = [str(root), str(link_pack(root))]
    os.chdir(root)
    lint_imports_command(["--no-cache"])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve())
