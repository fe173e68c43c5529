"""Starts a real ComfyUI in this process, in a temporary base directory, and loads the pack.

COMFYUI_PATH is the folder of the host. tests/run_host_tests.py sets it and runs the host's Python.
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
        "tests/host needs a ComfyUI. Run python tests/run_host_tests.py, or set COMFYUI_PATH and "
        "use the Python of that ComfyUI."
    )
HOST = Path(os.environ["COMFYUI_PATH"]).resolve()
BASE = Path(tempfile.mkdtemp(prefix="ifadapter-host-tests-"))
atexit.register(shutil.rmtree, BASE, ignore_errors=True)
FOLDERS = ("models/ifadapter", "models/embeddings", "custom_nodes", "input", "output", "temp", "user")


def start_host() -> None:
    """Import the host with its own command line, then load the pack. `nodes` is the host's module."""
    for folder in FOLDERS:
        (BASE / folder).mkdir(parents=True)
    sys.path.insert(0, str(HOST))  # first, because the pack's root has a package `nodes` too
    sys.path.append(str(HERE / "support"))
    given, sys.argv = sys.argv, ["main.py", "--cpu", "--base-directory", str(BASE)]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.utils

        # Before `nodes`, as in main.py: `nodes` puts comfy/utils.py on the path as `utils`.
        importlib.import_module("utils.extra_config")
        import nodes
    finally:
        sys.argv = given
    comfy.utils.set_progress_bar_enabled(False)
    if not asyncio.run(nodes.load_custom_node(str(PACK), module_parent="custom_nodes")):
        raise pytest.UsageError("The host could not load the pack. The log above contains the error.")


start_host()

import torch  # noqa: E402

import oracle  # noqa: E402
import small_models  # noqa: E402


@pytest.fixture(scope="session")
def base() -> Path:
    """The host's base directory, with models, input and output."""
    return BASE


@pytest.fixture(scope="session")
def host() -> Path:
    """The folder of the host's sources."""
    return HOST


@pytest.fixture(scope="session")
def node() -> Callable[..., tuple]:
    """node(id, **inputs) runs a registered node and returns its outputs."""
    import nodes

    def run(node_id: str, **inputs: Any) -> tuple:
        return nodes.NODE_CLASS_MAPPINGS[node_id].execute(**inputs).result

    return run


@pytest.fixture(scope="session")
def checkpoint() -> dict[str, dict[str, torch.Tensor]]:
    """An adapter for the small models, in the release's format."""
    return oracle.make_checkpoint(seed=0)


@pytest.fixture(scope="session")
def load(node: Callable[..., tuple], base: Path) -> Callable[[str, Any], Any]:
    """load(name, checkpoint) saves a file in models/ifadapter and loads it with the loader node."""
    import folder_paths

    def run(name: str, checkpoint: Any) -> Any:
        torch.save(checkpoint, base / "models" / "ifadapter" / name)
        # The modification time of a folder is too coarse to show every new file.
        folder_paths.filename_list_cache.pop("ifadapter", None)
        return node("IFAdapterLoader", adapter_name=name)[0]

    return run


@pytest.fixture(scope="session")
def ifadapter(load: Callable[[str, Any], Any], checkpoint: dict) -> Any:
    return load("small.bin", checkpoint)


@pytest.fixture(scope="session")
def model() -> Any:
    """One MODEL for all tests, because no node may change it."""
    return small_models.small_model(output_scale=20.0)


@pytest.fixture(scope="session")
def clip(base: Path) -> Any:
    return small_models.small_clip(embeddings=str(base / "models" / "embeddings"))


@pytest.fixture(scope="session")
def apply(node: Callable[..., tuple], model: Any, ifadapter: Any) -> Callable[..., Any]:
    """apply(tokens, **inputs) -> the MODEL with the adapter, by the Semantic Map and Apply nodes.

    inputs: of the Apply node, and strengths, depth_order and masks of the Semantic Map node.
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
    """make_tokens(boxes) -> the adapter's instance tokens for the text features of oracle.make_phrases."""

    def make(boxes: oracle.Boxes, adapter: Any = ifadapter) -> Any:
        return adapter.model.encode_instances(*oracle.make_phrases(len(boxes)), torch.tensor(boxes))

    return make


@pytest.fixture(scope="session")
def tokens(make_tokens):
    """Instance tokens of three overlapping boxes."""
    return make_tokens(oracle.THREE)


@pytest.fixture(scope="session")
def term(checkpoint):
    """The oracle's term for these tokens."""
    return oracle.make_term(checkpoint, oracle.make_phrases(3), oracle.THREE)
