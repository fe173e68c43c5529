"""One server for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import reference
from server_process import ADAPTER, PACK, Server
from small_shapes import ADAPTED_PROCESSORS, ADAPTED_WIDTH, HEAD_DIM, TEXT_WIDTH


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("comfyui")
    for folder in ("custom_nodes", "models/ifadapter", "input", "output"):
        (base / folder).mkdir(parents=True)
    (base / "custom_nodes" / "ComfyUI-IFAdapter").symlink_to(PACK, target_is_directory=True)
    for name in ("small_models_pack", "shapes_judge_pack"):
        (base / "custom_nodes" / name).symlink_to(
            PACK / "tests" / "host" / "support" / name, target_is_directory=True
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
