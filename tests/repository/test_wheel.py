"""`pip install .` gives the two packages for Python programs, and nothing else."""

from __future__ import annotations

import email
import email.message
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from archive import ROOT, tracked_files

pytest.importorskip("setuptools", "77", reason="pip builds the package with setuptools 77 or newer")
pytestmark = pytest.mark.slow

PACKAGES = ("ifadapter_core", "ifadapter_diffusers")


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a fresh checkout, built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "ComfyUI-IFAdapter"
    for name in tracked_files():
        if name.startswith(("demo/", "docs/", "workflows/", "tests/", "web/")) and not name.endswith(".py"):
            continue  # large, and no Python
        target = checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, checkout)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(opened.read(name))


def test_the_wheel_holds_the_two_packages_wholly_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert names == {name for name in tracked_files() if name.startswith(PACKAGES)}
    assert any(name.endswith(".txt") for name in names)


def test_the_installed_packages_import(wheel: Path, tmp_path: Path) -> None:
    pip("install", "--no-deps", "--no-index", "--target", tmp_path, wheel)
    installed = {path.name for path in tmp_path.iterdir() if not path.name.endswith(".dist-info")}
    assert installed == set(PACKAGES)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import ifadapter_core.language.questions\n"
        "import ifadapter_diffusers.pipeline as used\n"
        "sys.stdout.write(used.__file__)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout) == tmp_path / "ifadapter_diffusers" / "pipeline.py"


def test_extras(metadata: email.message.Message) -> None:
    """Without an extra, pip installs nothing else. The ranges are those that the trainer is tested with."""
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    assert metadata["Name"] == "ifadapter"
    assert sorted(metadata.get_all("Provides-Extra", [])) == ["core", "diffusers"]
    assert not [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    trained = {
        each.name: each.specifier
        for each in (
            Requirement(line.partition("#")[0])
            for line in (ROOT / "training" / "requirements.txt").read_text().splitlines()
            if not line.startswith("#")
        )
    }
    marked = [each for each in requirements if each.marker and "diffusers" in str(each.marker)]
    of_diffusers = {each.name: each for each in marked}
    assert of_diffusers.pop("ifadapter").extras == {"core"}
    assert {name: each.specifier for name, each in of_diffusers.items()} == {
        name: trained[name] for name in ("diffusers", "transformers", "accelerate")
    }
