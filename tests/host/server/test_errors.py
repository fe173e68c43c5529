"""Errors that reach users of the API."""

from __future__ import annotations

from typing import Any

import pytest

from server_process import ADAPTER, Server, messages
from workflow_graphs import WORKFLOWS, all_of, change, workflow


def error_of(entry: dict[str, Any]) -> dict[str, Any]:
    assert entry["status"]["status_str"] == "error", entry["status"]
    (error,) = messages(entry, "execution_error")
    return error


@pytest.mark.parametrize("name", ["another.bin", "no adapter file found"])
@pytest.mark.parametrize("empty", [False, True])
def test_missing_adapter_file(server: Server, name: str, empty: bool) -> None:
    file = server.base / "models" / "ifadapter" / ADAPTER
    aside = server.base / ADAPTER
    graph = change(workflow("place_things_with_boxes.json"), "IFAdapterLoader", adapter_name=name)
    # Otherwise the server would run the output that does not need the adapter.
    for node in all_of(graph, "PreviewImage"):
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
    assert "The layout cannot be read as JSON: it is cut off" in error["exception_message"]
    assert error["exception_type"].endswith("LayoutError")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_clip_of_another_model(server: Server, name: str) -> None:
    graph = workflow(name)
    graph["other"] = {"class_type": "IFAdapterTestOtherClip", "inputs": {}}
    error = error_of(server.run(change(graph, "IFAdapterEncode", "IFAdapterSimple", clip=["other", 0])))
    assert error["node_type"] in ("IFAdapterEncode", "IFAdapterSimple")
    assert "This CLIP does not fit the adapter" in error["exception_message"]
    assert "Connect the CLIP of a checkpoint" in error["exception_message"]
