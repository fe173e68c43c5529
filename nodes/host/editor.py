"""What a run tells the layout editor on the page."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import ui
from server import PromptServer
from torch import Tensor

LINKED_BOXES = "ifadapter.linked_boxes"  # event of the page's socket


def show_linked_boxes(node_id: str | None, boxes: Any) -> None:
    """Send the boxes that a node got from a link, in a format of the layout, before anything is asked of them.

    An editor shows them even when the run then stops because they have no words. Without a server nobody listens.
    """
    server = getattr(PromptServer, "instance", None)
    if server is not None and node_id is not None:
        server.send_sync(
            LINKED_BOXES, {"node": node_id, "boxes": json.dumps(boxes, default=str)}, server.client_id
        )


def background_for_editor(background: Tensor | None) -> dict[str, Any] | None:
    """The first picture of an IMAGE, kept for the page: what the node says it shows beside its outputs."""
    if background is None:
        return None
    return {"ifadapter_background": ui.PreviewImage(background[:1]).as_dict()["images"]}
