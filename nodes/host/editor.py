"""Messages from a run to the layout editor in the browser."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from comfy_api.latest import ui
from torch import Tensor

from ...ifadapter_core.layout import Layout
from .token_counter import count_tokens

# Websocket events.
LINKED_BOXES = "ifadapter.linked_boxes"
LINKED_TEXT = "ifadapter.linked_text"


def show_linked_boxes(node_id: str | None, boxes: str) -> None:
    """Send linked boxes to the editor, as JSON in this pack's format. No-op without a server.

    Called before the layout is read, so that the editor shows them even if the run then fails.
    """
    _send(LINKED_BOXES, node_id, {"boxes": boxes})


def show_linked_text(node_id: str | None, text: Any) -> None:
    """Send a linked layout text to the editor, before it is read. No-op without a server."""
    _send(LINKED_TEXT, node_id, {"text": text if isinstance(text, str) else ""})


def _send(event: str, node_id: str | None, data: dict[str, str]) -> None:
    # Not imported: a process without a server need not load the host's server module.
    server_class = getattr(sys.modules.get("server"), "PromptServer", None)
    prompt_server = getattr(server_class, "instance", None)
    if prompt_server is not None and node_id is not None:
        prompt_server.send_sync(event, {"node": node_id, **data}, prompt_server.client_id)


def results_for_editor(
    layout: Layout, background: Tensor | None, notices: Sequence[str] = (), text: str | None = None
) -> dict[str, list[Any]]:
    """The ``ui`` result of the layout node. Values are lists, which the host joins over all runs.

    ifadapter_notices: what was repaired, cut or left out while reading the layout.
    ifadapter_canvas: size of the picture in pixels, {"width": .., "height": ..}.
    ifadapter_tokens: exact token counts, {"text": local description, "tokens": count}.
    ifadapter_text: the linked layout text, again: results in the host's cache send no event.
    ifadapter_background: first picture of ``background`` (N, H, W, 3), saved as a preview file.
    Each key is absent if there are no notices, no tokenizer, no linked text or no background.
    """
    results: dict[str, list[Any]] = {
        "ifadapter_canvas": [{"width": layout.width, "height": layout.height}],
    }
    if notices:
        results["ifadapter_notices"] = list(notices)
    texts = [instance.local_description for instance in layout.instances]
    counts = count_tokens(texts)
    if counts is not None:
        results["ifadapter_tokens"] = [
            {"text": text, "tokens": count} for text, count in zip(texts, counts, strict=True)
        ]
    if text is not None:
        results["ifadapter_text"] = [text]
    if background is not None:
        results["ifadapter_background"] = ui.PreviewImage(background[:1]).as_dict()["images"]
    return results
