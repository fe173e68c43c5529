"""Run tests/host in every real ComfyUI that is at hand, each in a process of its own with that host's Python.

Looks for the newest host in COMFYUI_PATH, else in the folder above custom_nodes if this pack stands in one, else in
~/comfy/ComfyUI; and for the oldest supported one in COMFYUI_FLOOR_PATH, else beside the newest as <its folder>-0.14.
A host needs a .venv with its requirements (the oldest may share the newest's). Arguments go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "build" / "host-test-tools"
TOOL_PACKAGES = [
    line
    for line in (ROOT / "tests" / "requirements.txt").read_text().splitlines()
    if line.startswith(("pytest=", "hypothesis="))
]


def newest_host() -> Path:
    if "COMFYUI_PATH" in os.environ:
        return Path(os.environ["COMFYUI_PATH"])
    if ROOT.parent.name == "custom_nodes":
        return ROOT.parent.parent
    return Path.home() / "comfy" / "ComfyUI"


def floor_host(newest: Path) -> Path:
    return Path(os.environ.get("COMFYUI_FLOOR_PATH", f"{newest}-0.14"))


def python_of(host: Path) -> Path | None:
    python = host / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return python if python.exists() else None


def run(host: Path, python: Path, arguments: list[str]) -> int:
    if not TOOLS.exists():  # pytest beside the host, not in its environment
        install = [str(python), "-m", "pip", "install", "--quiet", "--target", str(TOOLS), *TOOL_PACKAGES]
        subprocess.run(install, check=True)
    # The Python with diffusers, which a host need not have: that of the tests' own environment.
    environment = {
        "IFADAPTER_TEST_PYTHON": sys.executable,
        **os.environ,
        "COMFYUI_PATH": str(host),
        "PYTHONPATH": str(TOOLS),
    }
    return subprocess.run(
        [str(python), "-m", "pytest", "host", *arguments], cwd=ROOT / "tests", env=environment, check=False
    ).returncode


def main() -> int:
    newest = newest_host()
    python = python_of(newest)
    if python is None or not (newest / "main.py").exists():
        sys.stdout.write(
            f"host tests skipped: no ComfyUI with a .venv in {newest}. Clone ComfyUI there, make its .venv and install its "
            "requirements.txt, or set COMFYUI_PATH to one (see CONTRIBUTING.md).\n"
        )
        return 0
    failed = run(newest, python, sys.argv[1:])
    floor = floor_host(newest)
    if not (floor / "main.py").exists():
        sys.stdout.write(
            f"host tests on the oldest supported ComfyUI skipped: none in {floor} (set COMFYUI_FLOOR_PATH, see CONTRIBUTING.md).\n"
        )
        return failed
    return run(floor, python_of(floor) or python, sys.argv[1:]) or failed


if __name__ == "__main__":
    sys.exit(main())
