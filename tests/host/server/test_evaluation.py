"""The evaluation's ``generate`` command on a real ComfyUI server, in a process of its own, over HTTP."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.benchmark import read_benchmark, write_benchmark
from evaluation.generate.generator import seed_of
from evaluation.generate.workflow import read_workflow
from ifadapter_core.layout import Box, Instance, Layout
from server_process import PACK, Server
from workflow_graphs import workflow

PYTHON = os.environ.get("IFADAPTER_TEST_PYTHON", sys.executable)
HAS_HTTPX = subprocess.run([PYTHON, "-c", "import httpx"], capture_output=True, check=False).returncode == 0
LAYOUTS = {
    "one": Layout(
        256,
        256,
        (Instance(Box(0.1, 0.1, 0.6, 0.9), "a ginger cat"), Instance(Box(0.5, 0.4, 0.9, 0.9), "a teapot")),
        "a table",
    ),
    "two": Layout(256, 192, (Instance(Box(0.3, 0.2, 0.8, 0.7), "a blue vase"),), "a shelf"),
    "none": Layout(192, 256, (), "an empty room"),
}

pytestmark = pytest.mark.skipif(not HAS_HTTPX, reason=f"{PYTHON} has no httpx")


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    write_benchmark(tmp_path / "benchmark", LAYOUTS, {})
    (tmp_path / "workflow.json").write_text(json.dumps(workflow("place_things_with_boxes.json")))
    return tmp_path / "benchmark"


def generate(server: Server, benchmark: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    given = [
        str(benchmark),
        str(benchmark.parent / name),
        "--server",
        server.address,
        "--workflow",
        str(benchmark.parent / "workflow.json"),
    ]
    # PYTHONPATH contains this process's pytest.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [PYTHON, "-m", "evaluation", "generate", *given, *options]
    return subprocess.run(command, cwd=PACK, env=environment, capture_output=True, text=True, check=False)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_generated_pictures_equal_those_of_the_server(server: Server, benchmark: Path) -> None:
    done = generate(server, benchmark, "out", "--seed", "4")
    assert done.returncode == 0, done.stderr
    made = files(benchmark.parent / "out")
    assert set(made) == {f"{name}.png" for name in LAYOUTS}
    filled = read_workflow(benchmark.parent / "workflow.json")
    for entry in read_benchmark(benchmark).entries:
        picture = Image.open(io.BytesIO(made[f"{entry.name}.png"]))
        assert picture.size == (entry.layout.width, entry.layout.height)
        history = server.run(filled.fill(entry.layout, seed_of(4, entry.name)))
        (saved,) = history["outputs"][filled.slots["image"].node]["images"]
        expected = Image.open(server.base / "output" / saved["subfolder"] / saved["filename"])
        assert (np.asarray(picture) == np.asarray(expected)).all()
        assert np.asarray(picture).std() > 1
    again = generate(server, benchmark, "again", "--seed", "4")  # from the server's cache
    assert again.returncode == 0
    assert files(benchmark.parent / "again") == made
    other = generate(server, benchmark, "other", "--seed", "4", "--set", "IFAdapterApply.strength=0")
    assert other.returncode == 0, other.stderr
    changed = {name for name, content in files(benchmark.parent / "other").items() if content != made[name]}
    assert changed == {"one.png", "two.png"}  # the layouts with instances


def test_server_errors_reach_the_user(server: Server, benchmark: Path) -> None:
    refused = generate(server, benchmark, "refused", "--set", "IFAdapterLoader.adapter_name=missing.bin")
    assert refused.returncode == 2
    assert "workflow: IFAdapterLoader" in refused.stderr
    assert "missing.bin" in refused.stderr
    failed = generate(
        server,
        benchmark,
        "failed",
        "--set",
        "IFAdapterEncode.use_eot_token=false",
        "--set",
        "6.use_appearance_tokens=false",
    )
    assert failed.returncode == 2
    assert "of 3 pictures are missing" in failed.stderr
    assert "IFAdapterEncode: Both the appearance tokens and the EoT token are switched off" in failed.stderr
    assert "Traceback" not in refused.stderr + failed.stderr
