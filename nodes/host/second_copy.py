"""Warns if another copy of this pack is loaded."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import nodes as host_nodes

PACK = Path(__file__).parents[2]  # not resolved: two links to one folder are two copies to the host


def warn_of_second_copy(node_id: str) -> None:
    """Log one warning if the host already has this node from another folder.

    Two copies happen when a pack is installed once by hand and once by the Manager. The host then
    uses the nodes of the copy that it loads last.
    """
    registered = host_nodes.NODE_CLASS_MAPPINGS.get(node_id)
    module = sys.modules.get(getattr(registered, "__module__", ""))
    file = getattr(module, "__file__", None)
    if file is None or PACK in Path(file).parents:
        return
    logging.warning(
        "IFAdapter: two copies of this node pack are installed: %s and %s. ComfyUI uses the nodes "
        "of the second one. Delete one of the two folders and restart ComfyUI.",
        _pack_folder(Path(file)),
        PACK,
    )


def _pack_folder(file: Path) -> Path:
    """The folder of a copy, from the file of one of its nodes: FOLDER/nodes/<node>.py."""
    return file.parents[1]
