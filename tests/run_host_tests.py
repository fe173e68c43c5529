"""Run tests/host in each ComfyUI found on this machine, with that host's own Python.

The newest host is COMFYUI_PATH, else the folder above custom_nodes if the pack is installed in one,
else ~/comfy/ComfyUI. The oldest supported host is COMFYUI_FLOOR_PATH, else <newest>-0.14 beside the
newest. Each host needs a .venv with its requirements; the oldest may share that of the newest.
Arguments go to pytest.

With two hosts, both run at the same time, each in one process. The newest host's output is shown
live, the oldest host's when it has finished.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "build" / "host-test-tools"
FLOOR_LOG = ROOT / "build" / "host-tests-floor.log"
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


def install_tools(python: Path) -> None:
    """Install pytest beside the host, not in its environment."""
    if not TOOLS.exists():
        install = [str(python), "-m", "pip", "install", "--quiet", "--target", str(TOOLS), *TOOL_PACKAGES]
        subprocess.run(install, check=True)


def start(host: Path, python: Path, arguments: list[str], log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start pytest on tests/host in this host. log: file that takes its output, else this process's own."""
    environment = {
        # The Python of the tests' own environment has diffusers, which a host need not have.
        "IFADAPTER_TEST_PYTHON": sys.executable,
        **os.environ,
        "COMFYUI_PATH": str(host),
        "PYTHONPATH": str(TOOLS),
    }
    command = [str(python), "-m", "pytest", "host", *arguments]
    if log is None:
        return subprocess.Popen(command, cwd=ROOT / "tests", env=environment)
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            [*command, "-p", "no:cacheprovider"],  # only one of two processes may write the cache
            cwd=ROOT / "tests",
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def main(arguments: list[str]) -> int:
    newest = newest_host()
    python = python_of(newest)
    if python is None or not (newest / "main.py").exists():
        sys.stdout.write(
            f"host tests skipped: no ComfyUI with a .venv in {newest}. Clone ComfyUI there, make its .venv "
            "and install its requirements.txt, or set COMFYUI_PATH to one (see CONTRIBUTING.md).\n"
        )
        return 0
    install_tools(python)
    floor = floor_host(newest)
    runs = []
    if (floor / "main.py").exists():
        runs.append(start(floor, python_of(floor) or python, arguments, FLOOR_LOG))
    runs.append(start(newest, python, arguments))
    codes = [run.wait() for run in reversed(runs)]
    if len(runs) == 2:
        sys.stdout.write(f"\nThe oldest supported host, {floor}:\n")
        sys.stdout.write(FLOOR_LOG.read_text(encoding="utf-8", errors="replace"))
    else:
        sys.stdout.write(
            f"host tests on the oldest supported ComfyUI skipped: none in {floor} "
            "(set COMFYUI_FLOOR_PATH, see CONTRIBUTING.md).\n"
        )
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
