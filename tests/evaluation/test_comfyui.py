"""Pictures from ComfyUI servers that fail in every way; and a generator that is killed."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback import Answer, FakeComfyUI, of_json
from PIL import Image

from evaluation.__main__ import main
from evaluation.benchmark import Benchmark, read_benchmark, write_benchmark
from evaluation.generate.comfyui import ATTEMPTS, ComfyUI
from evaluation.generate.generator import GENERATION, GenerationError, generate, seed_of
from evaluation.generate.workflow import WorkflowError, read_workflow
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.layout_formats import to_json

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflows" / "api" / "place_things_with_boxes.json"
COUNT = 7

Serve = Callable[..., FakeComfyUI]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[FakeComfyUI] = []

    def start(**options: Any) -> FakeComfyUI:
        running.append(FakeComfyUI(**options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    layouts = {
        f"p{number}": Layout(
            64 + 64 * (number % 2),
            64,
            (Instance(Box(0.1, 0.1, 0.5, 0.5), f"cat {number}"),),
            f"room {number}",
        )
        for number in range(COUNT)
    }
    return write_benchmark(tmp_path / "benchmark", layouts, {})


def run(
    benchmark: Benchmark,
    folder: Path,
    *servers: FakeComfyUI,
    waits: list[float] | None = None,
    timeout_s: float = 60,
) -> None:
    wait = ([] if waits is None else waits).append
    sources = [ComfyUI(server.address, read_workflow(WORKFLOW), timeout_s, wait) for server in servers]
    generate(benchmark, sources, folder, 3, {"workflow": "basic"})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_layout_becomes_its_picture(benchmark: Benchmark, tmp_path: Path, serve: Serve) -> None:
    server, waits = serve(), []  # type: ignore[var-annotated]
    run(benchmark, tmp_path / "out", server, waits=waits)
    assert set(files(tmp_path / "out")) == {GENERATION, *(f"p{number}.png" for number in range(COUNT))}
    for entry in benchmark.entries:
        colour = tuple(
            hashlib.sha256(f"{to_json(entry.layout)} {seed_of(3, entry.name)}".encode()).digest()[:3]
        )
        picture = np.asarray(Image.open(tmp_path / "out" / f"{entry.name}.png"))
        assert picture.shape == (entry.layout.height, entry.layout.width, 3)
        assert (picture == colour).all()
    assert waits == [0.5] * COUNT  # each was asked for twice
    assert len({seed_of(3, entry.name) for entry in benchmark.entries}) == COUNT
    assert json.loads((tmp_path / "out" / GENERATION).read_text())["benchmark"] == benchmark.digest


def test_several_servers_share_the_work_and_make_the_same_files(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    servers = [serve() for _ in range(3)]
    run(benchmark, tmp_path / "many", *servers)
    run(benchmark, tmp_path / "one", serve())
    assert files(tmp_path / "many") == files(tmp_path / "one")
    assert sum(len(server.prompts) for server in servers) == COUNT  # none twice


def test_when_a_server_dies_the_others_take_over_what_it_was_at(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    dying, living, waits = serve(dies_at=2), serve(), []  # type: ignore[var-annotated]
    run(benchmark, tmp_path / "out", dying, living, waits=waits)
    run(benchmark, tmp_path / "calm", serve())
    assert files(tmp_path / "out") == files(tmp_path / "calm")
    assert dying.dead
    assert len(dying.prompts) == 2
    assert len(living.prompts) >= COUNT - 2
    assert [wait for wait in waits if wait != 0.5] == [2.0**number for number in range(ATTEMPTS - 1)]


def test_when_all_servers_are_dead_the_rest_is_named_and_a_new_run_makes_it(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    with pytest.raises(
        GenerationError,
        match=r"[2-5] of 7 pictures are missing, as p\d: .*does not answer.*goes on from here",
    ):
        run(benchmark, tmp_path / "out", serve(dies_at=3), serve(dies_at=3))
    kept = len(list((tmp_path / "out").glob("*.png")))
    server = serve()
    run(benchmark, tmp_path / "out", server)
    assert len(server.prompts) == COUNT - kept
    run(benchmark, tmp_path / "calm", serve())
    assert files(tmp_path / "out") == files(tmp_path / "calm")


def failed(kind: str, **data: Any) -> dict[str, Any]:
    return {"status": {"status_str": "error", "completed": False, "messages": [[kind, data]]}, "outputs": {}}


HISTORIES = {
    "out of memory": failed("execution_error", node_type="KSampler", exception_message="Allocation failed\n"),
    "interrupted": failed("execution_interrupted"),
    "no picture": {"status": {"status_str": "success"}, "outputs": {}},
    "not found": {
        "status": {"status_str": "success"},
        "outputs": {"15": {"images": [{"filename": "x", "subfolder": "", "type": "output"}]}},
    },
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_a_picture_that_fails_is_tried_again(
    benchmark: Benchmark, tmp_path: Path, serve: Serve, history: dict[str, Any]
) -> None:
    server = serve(tamper=lambda number, entry: history if number in (1, 4) else entry)
    respond = server.respond
    server.respond = (
        lambda m, path, c: Answer(b"404: Not Found", 404) if "filename=x" in path else respond(m, path, c)
    )  # type: ignore[method-assign]
    run(benchmark, tmp_path / "out", server)
    assert len(server.prompts) == COUNT + 2
    run(benchmark, tmp_path / "calm", serve())
    assert files(tmp_path / "out") == files(tmp_path / "calm")


def test_a_picture_that_always_fails_is_named_and_the_others_are_made(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    server = serve()
    server._tamper = lambda number, entry: (
        HISTORIES["out of memory"]
        if "cat 2" in server.prompts[number - 1]["4"]["inputs"]["layout"]
        else entry
    )
    with pytest.raises(
        GenerationError, match=r"1 of 7 pictures are missing, as p2: .*KSampler: Allocation failed"
    ):
        run(benchmark, tmp_path / "out", server)
    assert len(list((tmp_path / "out").glob("*.png"))) == COUNT - 1
    assert len(server.prompts) == COUNT + 2


def test_a_server_that_was_restarted_has_lost_the_picture(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    server = serve(tamper=lambda number, entry: None if number == 1 else entry)
    respond = server.respond
    server.respond = (
        lambda m, path, c: of_json({"queue_running": [], "queue_pending": []})
        if path == "/queue"
        else respond(m, path, c)
    )  # type: ignore[method-assign]
    run(benchmark, tmp_path / "out", server)
    assert len(server.prompts) == COUNT + 1
    assert len(list((tmp_path / "out").glob("*.png"))) == COUNT


def test_a_server_that_hangs_is_left(benchmark: Benchmark, tmp_path: Path, serve: Serve) -> None:
    hanging, living = serve(block_at=1), serve()
    run(benchmark, tmp_path / "out", hanging, living, timeout_s=0.05)
    assert len(hanging.prompts) == 1
    assert len(list((tmp_path / "out").glob("*.png"))) == COUNT


@pytest.mark.parametrize("status", [400, 200], ids=["all of it", "a part of it"])
def test_a_workflow_that_is_refused_stops_all_at_once(
    benchmark: Benchmark, tmp_path: Path, serve: Serve, status: int
) -> None:
    errors = {
        "3": {
            "class_type": "IFAdapterLoader",
            "errors": [{"message": "Value not in list", "details": "adapter_name: 'spd.bin'"}],
        }
    }
    server, other = serve(), serve()
    server.respond = lambda *_: of_json(
        {"error": {"message": "m", "details": "d"}, "node_errors": errors}, status
    )  # type: ignore[method-assign]
    with pytest.raises(
        WorkflowError,
        match=r"refuses .*workflow: IFAdapterLoader: Value not in list \(adapter_name: 'spd\.bin'\)",
    ):
        run(benchmark, tmp_path / "out", server, other)
    assert len(other.prompts) < COUNT


def test_what_is_no_comfyui_is_told(benchmark: Benchmark, tmp_path: Path, serve: Serve) -> None:
    server = serve()
    server.respond = lambda *_: Answer(b"<html>welcome</html>")  # type: ignore[method-assign]
    with pytest.raises(GenerationError, match=r"answered 200 '<html>welcome</html>' to /prompt"):
        run(benchmark, tmp_path / "out", server)


def test_a_picture_of_other_proportions_is_an_error(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    server = serve()
    server._paint = lambda graph: FakeComfyUI._paint(
        server, {**graph, "4": {**graph["4"], "inputs": {**graph["4"]["inputs"], "width": 80}}}
    )  # type: ignore[method-assign]
    with pytest.raises(
        ValueError, match=r"80 x 64 pixels and its layout 64 x 64\. Link the layout node's width and height"
    ):
        run(benchmark, tmp_path / "out", server)


def test_pictures_of_other_settings_are_not_mixed(
    benchmark: Benchmark, tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(ready_after=1).address
    command = [
        "generate",
        str(tmp_path / "benchmark"),
        str(tmp_path / "out"),
        "--server",
        server,
        "--workflow",
        str(WORKFLOW),
    ]
    assert main(command) == 0
    assert main([*command, "--server", serve().address]) == 0  # who makes them changes nothing
    assert main([*command, "--seed", "1"]) == 2
    assert "pictures of other settings: seed was 0, is 1" in capsys.readouterr().err
    assert main([*command, "--set", "KSampler.steps=31"]) == 2
    assert "graph was" in capsys.readouterr().err


def test_a_killed_generator_goes_on_to_the_same_files(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    def command(server: FakeComfyUI, folder: str) -> list[str]:
        given = [
            str(tmp_path / "benchmark"),
            str(tmp_path / folder),
            "--server",
            server.address,
            "--workflow",
            str(WORKFLOW),
        ]
        return [sys.executable, "-m", "evaluation", "generate", *given]

    blocking = serve(block_at=4, ready_after=1)
    process = subprocess.Popen(command(blocking, "killed"), cwd=ROOT, stderr=subprocess.PIPE)
    assert blocking.blocked.wait(timeout=120)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert sorted(path.name for path in (tmp_path / "killed").glob("*.png")) == ["p0.png", "p1.png", "p2.png"]
    resumed = serve(ready_after=1)
    subprocess.run(command(resumed, "killed"), cwd=ROOT, check=True, capture_output=True)
    assert len(resumed.prompts) == COUNT - 3
    assert main(command(serve(ready_after=1), "whole")[3:]) == 0
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Say what makes the pictures"),
        (["--server", "x", "--demo", "demo"], "Say what makes the pictures"),
        (["--server", "x"], "Name a workflow in API format with --workflow"),
        (
            ["--server", "x", "--workflow", str(WORKFLOW), "--strength", "0"],
            "--strength cannot be used: a ComfyUI makes the pictures",
        ),
        (["--demo", "nowhere", "--set", "a.b=1"], "--set cannot be used: the core makes the pictures"),
        (["--models", "some/id"], "There is no adapter some/id/ifadapter.safetensors"),
    ],
)
def test_wrong_options_are_explained(
    benchmark: Benchmark,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["generate", str(tmp_path / "benchmark"), str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert read_benchmark(tmp_path / "benchmark").digest == benchmark.digest
