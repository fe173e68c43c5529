"""Load the pack into a ComfyUI without some of its names: ``changed_host.py BASE PACK NAME ..``.

Run by loading/test_changed_host.py in a separate process. NAME: for example comfy.sd.CLIP.
Prints JSON: the pack's node ids, and the error of the demo node.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys

BASE, PACK, *NAMES = sys.argv[1:]
sys.path.insert(0, os.environ["COMFYUI_PATH"])
sys.argv = ["main.py", "--cpu", "--base-directory", BASE]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
importlib.import_module("utils.extra_config")  # before `nodes`, as in the host's main.py

import nodes  # noqa: E402

for name in NAMES:
    module, _, attribute = name.rpartition(".")
    delattr(importlib.import_module(module), attribute)
loaded = asyncio.run(nodes.load_custom_node(PACK, module_parent="custom_nodes"))
error = None
if loaded:
    nodes.NODE_CLASS_MAPPINGS["IFAdapterLayout"].execute(layout='{"boxes": []}', width=64, height=64)
    try:
        nodes.NODE_CLASS_MAPPINGS["IFAdapterDemoModels"].execute()
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
node_ids = sorted(node_id for node_id in nodes.NODE_CLASS_MAPPINGS if node_id.startswith("IFAdapter"))
sys.stdout.write(json.dumps({"nodes": node_ids, "error": error}) + "\n")
