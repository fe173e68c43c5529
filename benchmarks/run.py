"""`make bench`: run every benchmark that this machine supports, into build/bench.

layers.json, host.json: all numbers. report.md: tables. growth.png: cost of a layer by covered
cells.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "bench"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from run_host_tests import newest_host, python_of  # noqa: E402


def measure(command: Sequence[str], **environment: str) -> str:
    """Run one benchmark. Returns its tables; progress goes to the terminal."""
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def plot_growth(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot the added time of a layer against its covered cells."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    by_count = [row for row in rows if row["grid"] == [32, 32]]
    by_size = [row for row in rows if row["count"] == 4]
    for label, series, marker in (
        ("1 .. 32 instances at 1024 px", by_count, "o"),
        ("4 instances at 512 .. 2048 px", by_size, "s"),
    ):
        points = sorted(
            (row["summed_area"] * row["grid"][0] * row["grid"][1], row["ours_ms"]["median"]) for row in series
        )
        axes.plot(*zip(*points, strict=True), marker=marker, label=label)
    axes.set(
        xlabel="covered cells per row, overlaps counted once per instance",
        ylabel="added time per layer, ms",
        xlim=0,
        ylim=0,
    )
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    parts = [measure([sys.executable, "benchmarks/layers.py", "--json", str(OUT / "layers.json")])]
    host = newest_host()
    python = python_of(host)
    if python is None:
        parts.append(f"ComfyUI was not measured: {host} has no .venv.\n")
    else:
        parts.append(
            measure(
                [str(python), "benchmarks/host.py", "--json", str(OUT / "host.json")], COMFYUI_PATH=str(host)
            )
        )
    if shutil.which("node"):
        parts.append(measure(["node", "benchmarks/editor.js"]))
    plot_growth(json.loads((OUT / "layers.json").read_text())["growth"], OUT / "growth.png")
    (OUT / "report.md").write_text("\n".join(parts))
    sys.stdout.write("\n".join([*parts, f"Written to {OUT.relative_to(ROOT)}.\n"]))


if __name__ == "__main__":
    main()
