"""Pictures from ComfyUI servers, with faults of every kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import contents
from loopback import Answer, FakeComfyUI, of_json
from PIL import Image

from evaluation.benchmark import Benchmark
from evaluation.generate.comfyui import ATTEMPTS, ComfyUI
from evaluation.generate.generator import GENERATION, GenerationError, generate, seed_of
from evaluation.generate.workflow import WorkflowError, read_workflow
from ifadapter_core.layout_formats import to_json

ROOT = Path(__file__).resolve().parents[3]
WORKFLOW = ROOT / "workflows" / "api" / "place_things_with_boxes.json"
COUNT = 7  # layouts of the benchmark

Serve = Callable[..., FakeComfyUI]


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


def test_each_layout_gets_its_picture(benchmark: Benchmark, tmp_path: Path, serve: Serve) -> None:
    server, waits = serve(), []  # type: ignore[var-annotated]
    run(benchmark, tmp_path / "out", server, waits=waits)
    assert set(contents(tmp_path / "out")) == {
        GENERATION,
        *(f"p{number}.png" for number in range(COUNT)),
    }
    for entry in benchmark.entries:
        colour = tuple(
            hashlib.sha256(f"{to_json(entry.layout)} {seed_of(3, entry.name)}".encode()).digest()[:3]
        )
        picture = np.asarray(Image.open(tmp_path / "out" / f"{entry.name}.png"))
        assert picture.shape == (entry.layout.height, entry.layout.width, 3)
        assert (picture == colour).all()
    assert waits == [0.5] * COUNT  # the history of each was queried twice
    assert len({seed_of(3, entry.name) for entry in benchmark.entries}) == COUNT
    assert json.loads((tmp_path / "out" / GENERATION).read_text())["benchmark"] == benchmark.digest


def test_several_servers_share_the_work_and_write_the_same_files(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    servers = [serve() for _ in range(3)]
    run(benchmark, tmp_path / "many", *servers)
    run(benchmark, tmp_path / "one", serve())
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert sum(len(server.prompts) for server in servers) == COUNT  # no picture twice


def test_other_servers_take_over_the_work_of_a_dead_one(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    dying, living, waits = serve(dies_at=2), serve(), []  # type: ignore[var-annotated]
    run(benchmark, tmp_path / "out", dying, living, waits=waits)
    run(benchmark, tmp_path / "faultless", serve())
    assert contents(tmp_path / "out") == contents(tmp_path / "faultless")
    assert dying.dead
    assert len(dying.prompts) == 2
    assert len(living.prompts) >= COUNT - 2
    assert [wait for wait in waits if wait != 0.5] == [2.0**number for number in range(ATTEMPTS - 1)]


def test_a_new_run_resumes_after_all_servers_died(benchmark: Benchmark, tmp_path: Path, serve: Serve) -> None:
    with pytest.raises(
        GenerationError,
        match=r"[2-5] of 7 pictures are missing, for example p\d: .*does not answer.*to resume",
    ):
        run(benchmark, tmp_path / "out", serve(dies_at=3), serve(dies_at=3))
    kept = len(list((tmp_path / "out").glob("*.png")))
    server = serve()
    run(benchmark, tmp_path / "out", server)
    assert len(server.prompts) == COUNT - kept
    run(benchmark, tmp_path / "faultless", serve())
    assert contents(tmp_path / "out") == contents(tmp_path / "faultless")


def failed(kind: str, **data: Any) -> dict[str, Any]:
    return {
        "status": {"status_str": "error", "completed": False, "messages": [[kind, data]]},
        "outputs": {},
    }


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
def test_a_failed_picture_is_retried(
    benchmark: Benchmark, tmp_path: Path, serve: Serve, history: dict[str, Any]
) -> None:
    server = serve(tamper=lambda number, entry: history if number in (1, 4) else entry)
    respond = server.respond
    server.respond = (
        lambda m, path, c: Answer(b"404: Not Found", 404) if "filename=x" in path else respond(m, path, c)
    )  # type: ignore[method-assign]
    run(benchmark, tmp_path / "out", server)
    assert len(server.prompts) == COUNT + 2
    run(benchmark, tmp_path / "faultless", serve())
    assert contents(tmp_path / "out") == contents(tmp_path / "faultless")


def test_a_picture_that_always_fails_is_named_and_the_others_are_kept(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    server = serve()
    server._tamper = lambda number, entry: (
        HISTORIES["out of memory"]
        if "cat 2" in server.prompts[number - 1]["4"]["inputs"]["layout"]
        else entry
    )
    with pytest.raises(
        GenerationError,
        match=r"1 of 7 pictures are missing, for example p2: .*KSampler: Allocation failed",
    ):
        run(benchmark, tmp_path / "out", server)
    assert len(list((tmp_path / "out").glob("*.png"))) == COUNT - 1
    assert len(server.prompts) == COUNT + 2


def test_a_picture_lost_by_a_restarted_server_is_retried(
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


def test_a_hanging_server_is_given_up(benchmark: Benchmark, tmp_path: Path, serve: Serve) -> None:
    hanging, living = serve(block_at=1), serve()
    run(benchmark, tmp_path / "out", hanging, living, timeout_s=0.05)
    assert len(hanging.prompts) == 1
    assert len(list((tmp_path / "out").glob("*.png"))) == COUNT


@pytest.mark.parametrize("status", [400, 200], ids=["whole workflow", "one output"])
def test_a_rejected_workflow_stops_all_servers(
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
        match=r"rejects .*workflow: IFAdapterLoader: Value not in list \(adapter_name: 'spd\.bin'\)",
    ):
        run(benchmark, tmp_path / "out", server, other)
    assert len(other.prompts) < COUNT


def test_another_kind_of_server_is_an_error(benchmark: Benchmark, tmp_path: Path, serve: Serve) -> None:
    server = serve()
    server.respond = lambda *_: Answer(b"<html>welcome</html>")  # type: ignore[method-assign]
    with pytest.raises(GenerationError, match=r"answered 200 '<html>welcome</html>' to /prompt"):
        run(benchmark, tmp_path / "out", server)


def test_a_picture_of_another_aspect_ratio_is_an_error(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    server = serve()
    server._paint = lambda graph: FakeComfyUI._paint(
        server, {**graph, "4": {**graph["4"], "inputs": {**graph["4"]["inputs"], "width": 80}}}
    )  # type: ignore[method-assign]
    with pytest.raises(
        ValueError,
        match=r"80 x 64 pixels, its layout 64 x 64\. Link the layout node's width and height",
    ):
        run(benchmark, tmp_path / "out", server)
