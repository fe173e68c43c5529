"""`make gpu` measures the UNet call and the text encoding in this host, without its nodes and server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_host_parts_run_in_this_host(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--small", "--parts", "unet,encoding"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "report.json").read_text())["parts"]

    assert [part["through"] for part in parts.values()] == ["ComfyUI", "ComfyUI"]
    timed = [row for row in parts["unet"]["rows"] if "ms" in row]
    assert all(row["finite"] for row in timed)
    assert {row["variant"] for row in timed} >= {"without", "4 instances", "10 instances"}
    assert sum("4 regions" in row["variant"] for row in timed) == 2
    encoding = next(row for row in parts["encoding"]["rows"] if row["what"] == "encoding")
    assert {"3 plain prompts", "1 instances", "4 instances", "10 instances"} == encoding["ms"].keys()
