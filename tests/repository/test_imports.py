"""Which package may import which: the contracts of pyproject.toml hold, and each of them can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lint_imports import PACKAGES

pytestmark = pytest.mark.slow

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]

# (first words of the contract, importing module, import statement, imported module as the report names it)
OFFENDERS = [
    ("Packages", "ifadapter_core.modules.norm", "import ifadapter_diffusers", "ifadapter_diffusers"),
    ("Packages", "ifadapter_diffusers.latents", "import shapes.scene", "shapes.scene"),
    ("Packages", "training.loop", "from evaluation import files", "evaluation.files"),
    ("Packages", "evaluation.files", "import demo", "demo"),
    ("The core imports", "ifadapter_core.modules.fusion", "import comfy.ops", "comfy"),
    ("The core imports", "ifadapter_core.tokens", "import transformers", "transformers"),
    ("The core: values", "ifadapter_core.layout", "from . import adapter", "ifadapter_core.adapter"),
    ("The core: values", "ifadapter_core.adapter", "from . import storage", "ifadapter_core.storage"),
    ("The core's", "ifadapter_core.modules.norm", "from . import fusion", "ifadapter_core.modules.fusion"),
    ("The trainer", "training.loop", "from shapes.scene import Scene", "shapes.scene"),
    ("The drawn world", "shapes.scene", "from training.loop import train", "training.loop"),
    ("Nodes import shared", "nodes.host.rows", "from ..types import MapType", "ifadapter_pack.nodes.types"),
    ("Nodes import shared", "nodes.apply", "from . import loader", "ifadapter_pack.nodes.loader"),
    ("Only nodes/host", "nodes.encode", "import comfy.sd", "comfy"),
    ("Only nodes/host", "nodes.inputs", "from server import PromptServer", "server"),
    (
        "Nodes import nothing",
        "nodes.host.text",
        "from ...training import loop",
        "ifadapter_pack.training.loop",
    ),
    ("Nodes import nothing", "nodes.host.demo.load", "import diffusers", "diffusers"),
    ("Nodes import the core", "nodes.semantic_map", "import ifadapter_core.tokens", "ifadapter_core.tokens"),
]


def lint(root: Path) -> str:
    """Run import-linter on the packages in root; return its report."""
    command = [sys.executable, str(ROOT / "tests" / "lint_imports.py"), str(root)]
    environment = {**os.environ, "COLUMNS": "300"}  # no line breaks within a name
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode in (0, 1), ran.stderr
    return ran.stdout


def violations(report: str) -> dict[str, str]:
    """The broken contracts of a report: name -> the section that lists the offending imports."""
    _, _, broken = report.partition("Broken contracts\n")
    parts = re.split(rf"^({'|'.join(map(re.escape, CONTRACTS))})\n-+\n", broken, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages and their contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=lambda folder, names: [
                n for n in names if Path(folder, n).is_file() and not n.endswith(".py")
            ],
        )
    return tmp_path


def test_every_contract_holds(copy: Path) -> None:
    report = lint(copy)
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in report, report


def test_every_contract_fails_on_a_planted_import(copy: Path) -> None:
    for _, importer, statement, _ in OFFENDERS:
        path = copy.joinpath(*importer.split(".")).with_suffix(".py")
        path.write_text(f"{path.read_text('utf-8')}\n{statement}\n", encoding="utf-8")
    found = violations(lint(copy))
    assert set(found) == set(CONTRACTS)
    for contract, importer, _, imported in OFFENDERS:
        name = f"ifadapter_pack.{importer}" if importer.startswith("nodes.") else importer
        (section,) = (text for title, text in found.items() if title.startswith(contract))
        assert f"{name} -> {imported} " in section, contract


@pytest.mark.parametrize(
    ("folder", "contract"),
    [("ifadapter_core", "The core: values"), ("nodes", "Nodes import shared")],
)
def test_a_new_module_must_be_given_a_layer(copy: Path, folder: str, contract: str) -> None:
    (copy / folder / "novelty.py").write_text("")
    found = violations(lint(copy))
    (section,) = (text for name, text in found.items() if name.startswith(contract))
    assert f"{folder}.novelty" in section
