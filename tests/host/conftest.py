"""Starts a real ComfyUI in this process, with a folder tree of its own, and lets its loader import the pack.

COMFYUI_PATH names the host; tests/run_host_tests.py sets it and picks the host's own Python.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
PACK = HERE.parent.parent
if "COMFYUI_PATH" not in os.environ:
    raise pytest.UsageError(
        "tests/host needs a ComfyUI: run python tests/run_host_tests.py, or set COMFYUI_PATH and use its Python."
    )
HOST = Path(os.environ["COMFYUI_PATH"]).resolve()
BASE = Path(tempfile.mkdtemp(prefix="ifadapter-host-tests-"))
atexit.register(shutil.rmtree, BASE, ignore_errors=True)
FOLDERS = ("models/ifadapter", "models/embeddings", "custom_nodes", "input", "output", "temp", "user")


def start_host() -> None:
    """Import the host with its command line set, so that `nodes` is its module from here on, and then the pack through it."""
    for folder in FOLDERS:
        (BASE / folder).mkdir(parents=True)
    sys.path.insert(0, str(HOST))  # before the pack's root, whose `nodes` is a package of the same name
    sys.path.append(str(HERE / "support"))
    given, sys.argv = sys.argv, ["main.py", "--cpu", "--base-directory", str(BASE)]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.utils

        importlib.import_module(
            "utils.extra_config"
        )  # as main.py does before `nodes`, which puts comfy/utils.py on the path
        import nodes
    finally:
        sys.argv = given
    comfy.utils.set_progress_bar_enabled(False)
    if not asyncio.run(nodes.load_custom_node(str(PACK), module_parent="custom_nodes")):
        raise pytest.UsageError("The host could not import the pack; the log above says why.")


start_host()

import torch  # noqa: E402

import oracle  # noqa: E402
import small_models  # noqa: E402

torch.set_num_threads(1)  # the tensors are tiny


@pytest.fixture(scope="session")
def base() -> Path:
    """The host's base directory: models, input, output and the rest."""
    return BASE


@pytest.fixture(scope="session")
def host() -> Path:
    """Where the host's sources are."""
    return HOST


@pytest.fixture(scope="session")
def node() -> Callable[..., tuple]:
    """node(id, **inputs) runs a node that the host has registered and returns its outputs."""
    import nodes

    def run(node_id: str, **inputs: Any) -> tuple:
        return nodes.NODE_CLASS_MAPPINGS[node_id].execute(**inputs).result

    return run


@pytest.fixture(scope="session")
def checkpoint() -> dict[str, dict[str, torch.Tensor]]:
    """An adapter for the small models, in the release's layout."""
    return oracle.make_checkpoint(seed=0)


@pytest.fixture(scope="session")
def load(node: Callable[..., tuple], base: Path) -> Callable[[str, Any], Any]:
    """load(name, checkpoint) -> the adapter, by way of a file in models/ifadapter."""
    import folder_paths

    def run(name: str, checkpoint: Any) -> Any:
        torch.save(checkpoint, base / "models" / "ifadapter" / name)
        folder_paths.filename_list_cache.pop(
            "ifadapter", None
        )  # the clock of a folder is too coarse to notice every new file
        return node("IFAdapterLoader", adapter_name=name)[0]

    return run


@pytest.fixture(scope="session")
def ifadapter(load: Callable[[str, Any], Any], checkpoint: dict) -> Any:
    return load("small.bin", checkpoint)


@pytest.fixture(scope="session")
def model() -> Any:
    """One MODEL for all tests: no node may change it."""
    return small_models.small_model(output_scale=20.0)


@pytest.fixture(scope="session")
def clip(base: Path) -> Any:
    return small_models.small_clip(embeddings=str(base / "models" / "embeddings"))


@pytest.fixture(scope="session")
def apply(node: Callable[..., tuple], model: Any, ifadapter: Any) -> Callable[..., Any]:
    """apply(tokens) -> the MODEL with the adapter, by the semantic map node and the apply node.

    Takes the apply node's inputs by name, and those of the semantic map node (strengths, depth_order, masks).
    """
    defaults = {
        "model": model,
        "ifadapter": ifadapter,
        "strength": 1.0,
        "start_percent": 0.0,
        "end_percent": 1.0,
    }

    def run(tokens: Any, **inputs: Any) -> Any:
        of_map = {name: inputs.pop(name) for name in ("strengths", "depth_order", "masks") if name in inputs}
        semantic_map = node("IFAdapterSemanticMap", tokens=tokens, **of_map)[0]
        return node("IFAdapterApply", semantic_map=semantic_map, **{**defaults, **inputs})[0]

    return run


@pytest.fixture(scope="session")
def make_tokens(ifadapter: Any) -> Callable[..., Any]:
    """make_tokens(boxes) -> the adapter's instance tokens for made-up text features, those of oracle.make_phrases."""

    def make(boxes: oracle.Boxes, adapter: Any = ifadapter) -> Any:
        return adapter.model.encode_instances(*oracle.make_phrases(len(boxes)), torch.tensor(boxes))

    return make


@pytest.fixture(scope="session")
def tokens(make_tokens):
    """Of three boxes that overlap."""
    return make_tokens(oracle.THREE)


@pytest.fixture(scope="session")
def term(checkpoint):
    """What they add, for the oracle."""
    return oracle.make_term(checkpoint, oracle.make_phrases(3), oracle.THREE)
