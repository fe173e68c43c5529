"""The pack in a real ComfyUI server, driven as API users drive it: the committed workflows with small models in them."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import torch
from PIL import Image

import reference
from host.small_shapes import ADAPTED_PROCESSORS, ADAPTED_WIDTH, HEAD_DIM, TEXT_WIDTH
from ifadapter_core.layout import Layout
from ifadapter_core.layout_formats import from_json
from shapes.recognition.verifier import verify
from shapes.scene import Attributes, Figure

PACK = Path(__file__).resolve().parent.parent.parent
HOST = Path(os.environ["COMFYUI_PATH"]).resolve()
WORKFLOWS = ["place_things_with_boxes.json", "boxes_with_a_style_lora.json"]
NODES = {
    "IFAdapterLoader",
    "IFAdapterLayout",
    "IFAdapterEncode",
    "IFAdapterSemanticMap",
    "IFAdapterApply",
    "IFAdapterSimple",
    "IFAdapterDemoModels",
    "IFAdapterBatchMaps",
}
DEMO_FIGURES = [  # what the captions of try_it_without_downloads.json say
    Attributes("circle", "red", "dotted", "white"),
    Attributes("circle", "yellow", "bordered", "blue"),
    Attributes("triangle", "green", "striped", "white"),
    Attributes("square", "blue"),
]
ADAPTER = "spd_adapter.bin"
SIDE_PX = 256
STEPS = 3
START_S = 180  # deadlines, for machines under load
RUN_S = 120

Graph = dict[str, dict[str, Any]]


# The server


class Server:
    """A running ComfyUI, and how its API is spoken to."""

    def __init__(self, base: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.base = base
        self._log = base / "server.log"
        options = {
            "--listen": "127.0.0.1",
            "--port": self.address.split(":")[1],
            "--base-directory": str(base),
            "--database-url": f"sqlite:///{base / 'comfyui.db'}",  # the default lies in the host's own folder
        }
        # A picture's bytes depend on its pixels alone without metadata; what runs again is certain with the classic cache.
        flags = ["--cpu", "--disable-metadata", "--disable-api-nodes", "--cache-classic"]
        command = [
            sys.executable,
            "main.py",
            *flags,
            *(word for option in options.items() for word in option),
        ]
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHONPATH"
        }  # that is pytest's
        environment["OMP_NUM_THREADS"] = "1"  # the tensors are tiny
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=HOST, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def wait_until_ready(self) -> None:
        for _ in range(START_S):
            try:
                self._process.wait(timeout=1)  # the interval of the poll
            except subprocess.TimeoutExpired:
                try:
                    self.get("/system_stats")
                    return
                except OSError:
                    continue
            break
        pytest.fail(f"The server did not start. The end of its log:\n{self.log[-4000:]}")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=RUN_S) as answer:
            return json.load(answer)

    def refusal(self, graph: Graph) -> dict[str, Any]:
        """The answer to a prompt that the server does not take."""
        body = json.dumps({"prompt": graph}).encode()
        request = urllib.request.Request(
            f"http://{self.address}/prompt", body, {"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=RUN_S).close()
        assert caught.value.code == 400
        return json.load(caught.value)

    def run(self, graph: Graph, interrupt_at: int | None = None) -> dict[str, Any]:
        """Queue the graph and give its history entry when it has ended; interrupt_at: the sampler's step to interrupt it at."""
        return asyncio.run(asyncio.wait_for(self._run(graph, interrupt_at), RUN_S))

    async def _run(self, graph: Graph, interrupt_at: int | None) -> dict[str, Any]:
        client = uuid.uuid4().hex
        url = f"http://{self.address}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}/ws?clientId={client}") as events,
        ):
            async with session.post(f"{url}/prompt", json={"prompt": graph, "client_id": client}) as answer:
                queued = await answer.json()
                assert answer.status == 200, queued
            async for event in events:
                if event.type is not aiohttp.WSMsgType.TEXT:
                    continue
                message = json.loads(event.data)
                data = message["data"]
                if data.get("prompt_id") != queued["prompt_id"]:
                    continue
                sampling = message["type"] == "progress" and data["node"] == only(graph, "KSampler")
                if interrupt_at is not None and sampling and data["value"] >= interrupt_at:
                    interrupt_at = None
                    await session.post(f"{url}/interrupt")
                if message["type"] == "executing" and data["node"] is None:
                    break
            async with session.get(f"{url}/history/{queued['prompt_id']}") as answer:
                return (await answer.json())[queued["prompt_id"]]

    def picture(self, graph: Graph) -> bytes:
        """The one PNG file that a run of the graph saves."""
        (picture,) = self.pictures(graph)
        return picture

    def pictures(self, graph: Graph) -> list[bytes]:
        """The PNG files that a run of the graph saves. It must end well and log no traceback."""
        before = len(self.log)
        entry = self.run(graph)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
        assert "Traceback" not in self.log[before:], self.log[before:]
        assert only(graph, "KSampler") not in messages(entry, "execution_cached")[0]["nodes"], (
            "nothing was sampled"
        )
        saved = entry["outputs"][only(graph, "SaveImage")]["images"]
        return [(self.base / "output" / one["subfolder"] / one["filename"]).read_bytes() for one in saved]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("comfyui")
    for folder in ("custom_nodes", "models/ifadapter", "input", "output"):
        (base / folder).mkdir(parents=True)
    (base / "custom_nodes" / "ComfyUI-IFAdapter").symlink_to(PACK, target_is_directory=True)
    (base / "custom_nodes" / "small_models_pack").symlink_to(
        PACK / "tests" / "host" / "small_models_pack", target_is_directory=True
    )
    layers = [(processor, ADAPTED_WIDTH, HEAD_DIM) for processor in ADAPTED_PROCESSORS]
    torch.save(
        reference.make_release_checkpoint(text_width=TEXT_WIDTH, layers=layers),
        base / "models" / "ifadapter" / ADAPTER,
    )
    running = Server(base)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


# The graphs


def workflow(name: str) -> Graph:
    """A committed workflow with the small models in place of its checkpoint, a small canvas, few steps and no LoRA."""
    graph = committed(name)
    graph[only(graph, "CheckpointLoaderSimple")] = {"class_type": "IFAdapterTestModels", "inputs": {}}
    for node in all_of(graph, "LoraLoader"):
        given = graph.pop(node)["inputs"]
        relink(graph, node, lambda slot, given=given: (given["model"], given["clip"])[slot])
    for node in all_of(graph, "IFAdapterLayout"):
        graph[node]["inputs"].update(width=SIDE_PX, height=SIDE_PX)
    change(graph, "KSampler", steps=STEPS)
    return graph


def committed(name: str) -> Graph:
    graph: Graph = json.loads((PACK / "workflows" / "api" / name).read_text(encoding="utf-8"))
    return graph


def layout_of(graph: Graph) -> Layout:
    given = graph[only(graph, "IFAdapterLayout")]["inputs"]
    return from_json(given["layout"], given["width"], given["height"])


def without_adapter(graph: Graph) -> Graph:
    """The graph as it was before anyone thought of this pack: none of its nodes, and their values written in by hand."""
    graph = copy.deepcopy(graph)
    given = graph[only(graph, "IFAdapterLayout")]["inputs"]
    prompt = layout_of(graph).prompt
    (apply,) = all_of(graph, "IFAdapterApply", "IFAdapterSimple")
    model = graph[apply]["inputs"]["model"]
    relink(graph, apply, lambda _slot: model)
    relink(
        graph,
        only(graph, "IFAdapterLayout"),
        lambda slot: [None, None, prompt, given["width"], given["height"]][slot],
    )
    for node in all_of(graph, *NODES, "PreviewImage"):
        del graph[node]
    return graph


def change(graph: Graph, *class_types: str, **values: Any) -> Graph:
    (node,) = all_of(graph, *class_types)
    assert values.keys() <= graph[node]["inputs"].keys(), f"{class_types} lacks one of {list(values)}"
    graph[node]["inputs"].update(values)
    return graph


def relink(graph: Graph, source: str, replacement: Callable[[int], Any]) -> None:
    """Put replacement(output slot) wherever an output of the node `source` is linked."""
    for node in graph.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value[0] == source:
                node["inputs"][name] = replacement(value[1])


def all_of(graph: Graph, *class_types: str) -> list[str]:
    return [number for number, node in graph.items() if node["class_type"] in class_types]


def only(graph: Graph, class_type: str) -> str:
    (number,) = all_of(graph, class_type)
    return number


def strength(graph: Graph, value: float) -> Graph:
    return change(graph, "IFAdapterApply", "IFAdapterSimple", strength=value)


def messages(entry: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [data for name, data in entry["status"]["messages"] if name == kind]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def error_of(entry: dict[str, Any]) -> dict[str, Any]:
    assert entry["status"]["status_str"] == "error", entry["status"]
    (error,) = messages(entry, "execution_error")
    return error


# Starting up


def test_the_pack_loads_cleanly(server: Server) -> None:
    log = server.log
    started = log[: log.index("To see the GUI")]
    assert "ComfyUI-IFAdapter" in started
    assert "IMPORT FAILED" not in started
    assert "Traceback" not in started


def test_object_info_describes_all_nodes(server: Server) -> None:
    known = server.get("/object_info")
    assert {name for name in known if name.startswith("IFAdapter") and "Test" not in name} == NODES
    for name in NODES:
        node = known[name]
        assert node["category"] == "IFAdapter"
        assert node["description"]
        assert node["display_name"] != name
        assert all(node["output_tooltips"]), name
        given = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        assert [key for key, (_type, options) in given.items() if not options.get("tooltip")] == [], name


def test_object_info_lists_the_adapter_file(server: Server) -> None:
    kind, options = server.get("/object_info/IFAdapterLoader")["IFAdapterLoader"]["input"]["required"][
        "adapter_name"
    ]
    assert ADAPTER in (options["options"] if kind == "COMBO" else kind)


# Pictures


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_changes_the_picture_and_strength_zero_does_not(server: Server, name: str) -> None:
    without = server.picture(
        without_adapter(workflow(name))
    )  # first, so that a model that stays patched shows
    adapted = pixels(server.picture(workflow(name)))
    off = server.picture(strength(workflow(name), 0.0))
    assert adapted.shape == (SIDE_PX, SIDE_PX, 3)
    assert adapted.std() > 1
    assert off == without
    assert np.abs(adapted.astype(int) - pixels(without)).mean() > 1


def test_each_image_of_a_batch_has_its_own_layout(server: Server) -> None:
    first, second = map(pixels, server.pictures(workflow("two_layouts_in_a_batch.json")))
    alone = pixels(
        server.picture(workflow("place_things_with_boxes.json"))
    )  # the same seed, and the layout of the first
    assert np.abs(first.astype(int) - alone).max() <= 1
    swapped = workflow("two_layouts_in_a_batch.json")
    node = swapped[only(swapped, "IFAdapterBatchMaps")]["inputs"]
    node["more_maps"], node["semantic_maps"] = node["semantic_maps"], node["more_maps"]
    other_first, other_second = map(pixels, server.pictures(swapped))
    assert np.abs(first.astype(int) - other_first).mean() > 1
    assert np.abs(second.astype(int) - other_second).mean() > 1


def test_same_prompt_gives_same_file_after_another_one(server: Server) -> None:
    first = server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=7))
    other = server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=8))
    again = server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=7))
    assert first == again
    assert first != other


def test_run_after_an_interrupted_one_is_right(server: Server) -> None:
    expected = server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=9))
    long_run = change(workflow("place_things_with_boxes.json"), "KSampler", seed=9, steps=2000)
    entry = server.run(long_run, interrupt_at=2)
    assert messages(entry, "execution_interrupted")
    assert only(long_run, "SaveImage") not in entry["outputs"]
    assert server.picture(change(workflow("place_things_with_boxes.json"), "KSampler", seed=9)) == expected


def test_the_demo_draws_its_layout(server: Server) -> None:
    """As committed, with the models that come with the pack."""
    graph = committed("try_it_without_downloads.json")
    layout = layout_of(graph)
    picture = pixels(server.picture(graph))
    assert picture.shape == (layout.height, layout.width, 3) == (128, 128, 3)
    assert picture.std() > 1
    verdicts = verify(picture, figures_of(layout))
    assert len(verdicts) == len(layout.instances)
    assert all(verdict.success for verdict in verdicts)


def figures_of(layout: Layout) -> list[Figure]:
    """The demo's instances as the verifier wants them, with their boxes in pixels."""
    sides = (layout.width, layout.height) * 2
    return [
        Figure(
            attributes,
            tuple(round(value * side) for value, side in zip(instance.box, sides, strict=True)),
            instance.local_description,
        )
        for attributes, instance in zip(DEMO_FIGURES, layout.instances, strict=True)
    ]


# What the editor asks


def ask_for_tokens(server: Server, body: Any) -> Any:
    url = f"http://{server.address}/ifadapter/tokens"
    with urllib.request.urlopen(
        urllib.request.Request(url, json.dumps(body).encode()), timeout=RUN_S
    ) as answer:
        return json.load(answer)


def test_tokens_are_counted_with_start_and_end(server: Server) -> None:
    texts = ["", "a ginger cat", "(a ginger cat:1.2)", "cat " * 100]
    assert ask_for_tokens(server, {"texts": texts}) == {"counts": [2, 5, 5, 102]}


@pytest.mark.parametrize("body", [[], {}, {"texts": "cat"}, {"texts": [1]}, {"texts": ["cat"] * 1001}])
def test_a_wrong_question_about_tokens(server: Server, body: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask_for_tokens(server, body)
    assert caught.value.code == 400
    assert "texts" in json.load(caught.value)["error"]


# Errors that reach the API user


@pytest.mark.parametrize("name", ["another.bin", "no adapter file found"])
@pytest.mark.parametrize("empty", [False, True])
def test_missing_adapter_file(server: Server, name: str, empty: bool) -> None:
    file = server.base / "models" / "ifadapter" / ADAPTER
    aside = server.base / ADAPTER
    graph = change(workflow("place_things_with_boxes.json"), "IFAdapterLoader", adapter_name=name)
    for node in all_of(
        graph, "PreviewImage"
    ):  # with one output that can be made, the server would make that one
        del graph[node]
    if empty:
        file.rename(aside)
    try:
        answer = server.refusal(graph)
    finally:
        if empty:
            aside.rename(file)
    ((error,),) = [node["errors"] for node in answer["node_errors"].values()]  # one node, one error
    assert name in error["details"]
    assert str(file.parent) in error["details"]
    assert "WuYW/IFAdapter" in error["details"]
    assert f"Files found: {'none' if empty else ADAPTER}." in error["details"]


def test_broken_layout(server: Server) -> None:
    error = error_of(
        server.run(
            change(
                workflow("place_things_with_boxes.json"),
                "IFAdapterLayout",
                layout='{"caption": "a cat", "boxes": [',
            )
        )
    )
    assert error["node_type"] == "IFAdapterLayout"
    assert "The layout is not JSON" in error["exception_message"]
    assert error["exception_type"].endswith("LayoutError")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_clip_of_another_model(server: Server, name: str) -> None:
    graph = workflow(name)
    graph["other"] = {"class_type": "IFAdapterTestOtherClip", "inputs": {}}
    error = error_of(server.run(change(graph, "IFAdapterEncode", "IFAdapterSimple", clip=["other", 0])))
    assert error["node_type"] in ("IFAdapterEncode", "IFAdapterSimple")
    assert "This CLIP does not fit the adapter" in error["exception_message"]
    assert "Connect the CLIP of the checkpoint" in error["exception_message"]
