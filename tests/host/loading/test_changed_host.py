"""The pack in a ComfyUI whose internals were renamed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nodes

SUPPORT = Path(__file__).resolve().parents[1] / "support"
PACK = Path(__file__).resolve().parents[3]
NODE_IDS = sorted(node_id for node_id in nodes.NODE_CLASS_MAPPINGS if node_id.startswith("IFAdapter"))


def load_without(names: list[str], base: Path) -> dict[str, Any]:
    """Nodes and demo error of the pack in a host that lacks these names."""
    command = [sys.executable, str(SUPPORT / "changed_host.py"), str(base), str(PACK), *names]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["comfy.latent_formats.LatentFormat", "comfy.clip_model.CLIPTextModel"])
def test_renamed_host_class_costs_the_demo_node_only(tmp_path, name):
    """The demo's model classes subclass the host's."""
    result = load_without([name], tmp_path)
    assert result["nodes"] == NODE_IDS
    assert result["error"].startswith(
        "RuntimeError: The demo models do not work with this version of ComfyUI"
    )
    assert name.rpartition(".")[2] in result["error"]


def test_names_read_at_use_do_not_stop_the_pack(tmp_path):
    """A renamed UNet class breaks Apply alone; a renamed server class, the preview of linked boxes."""
    names = ["comfy.ldm.modules.attention.SpatialTransformer", "server.PromptServer"]
    assert load_without(names, tmp_path) == {"nodes": NODE_IDS, "error": None}
