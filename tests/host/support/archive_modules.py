"""Import every module of an installed archive inside ComfyUI: ``archive_modules.py BASE PACK``.

Run by server/test_archive.py in a process of its own. Prints JSON: the imported modules, relative to PACK,
and the files of all modules that Python then holds.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path

BASE, PACK = sys.argv[1:]
sys.path.insert(0, os.environ["COMFYUI_PATH"])
sys.argv = ["main.py", "--cpu", "--base-directory", BASE]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
importlib.import_module("utils.extra_config")  # before `nodes`, as in the host's main.py

import nodes  # noqa: E402

if not asyncio.run(nodes.load_custom_node(PACK, module_parent="custom_nodes")):
    sys.exit("ComfyUI could not load the pack.")
(root,) = [name for name, module in sys.modules.items() if getattr(module, "__path__", None) == [PACK]]
imported = []
for path in sorted(Path(PACK).rglob("*.py")):
    name = path.relative_to(PACK).with_suffix("")
    parts = name.parts[:-1] if name.name == "__init__" else name.parts
    importlib.import_module(".".join([root, *parts]))
    imported.append(path.relative_to(PACK).as_posix())
files = sorted({file for module in sys.modules.values() if (file := getattr(module, "__file__", None))})
sys.stdout.write(json.dumps({"imported": imported, "files": files}) + "\n")
