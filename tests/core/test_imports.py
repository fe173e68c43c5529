"""The core imports no host: all its modules import where a host's modules cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "ifadapter_core").rglob("*.py")
    if path.stem != "__init__"
    and not (path.parent.name == "kernels" and path.stem != "choice")  # need Triton
)
STANDARD_LIBRARY_ONLY = (
    "layout",
    "layout_formats",
    "config",
    "checking.yes_no",
    "language.answers",
    "language.questions",
)
FOREIGN = (
    "comfy",
    "comfy_api",
    "comfy_extras",
    "folder_paths",
    "nodes",
    "diffusers",
    "einops",
    "transformers",
)

SCRIPT = """
import importlib, sys

class Barrier:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in foreign:
            raise ImportError(f"the core imports {name}")

root, foreign, modules = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
sys.meta_path.insert(0, Barrier())
sys.path.insert(0, root)
for name in foreign:
    try:
        importlib.import_module(name)
    except ImportError as error:
        assert str(error) == f"the core imports {name}", error
    else:
        raise AssertionError(f"{name} can be imported: the barrier does not hold")
if len(sys.argv) > 4:  # further modules that must not be imported
    foreign += sys.argv[4].split(",")
for name in modules:
    importlib.import_module(name)
sys.stdout.write(",".join(modules))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


def test_all_modules_import_without_a_host() -> None:
    assert len(MODULES) >= 12
    assert "ifadapter_core.formats.own" in MODULES
    done = run(str(ROOT), ",".join(FOREIGN), ",".join(MODULES))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ",".join(MODULES)


def test_layouts_and_config_need_the_standard_library_only() -> None:
    done = run(
        str(ROOT),
        ",".join(FOREIGN),
        ",".join(f"ifadapter_core.{module}" for module in STANDARD_LIBRARY_ONLY),
        "torch,numpy,safetensors,PIL",
    )
    assert done.returncode == 0, done.stderr


def test_import_barrier_catches_a_module_that_imports_a_host(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("import comfy.utils\n")
    done = run(str(tmp_path), ",".join(FOREIGN), "needy")
    assert done.returncode != 0
    assert "the core imports comfy" in done.stderr
