"""Layout texts from a link, and layouts that an editor has taken over from one. Standard library only.

``web/linked_text.js`` is the twin.
"""

from __future__ import annotations

from typing import Any

from ..formats.fields import WHITE, kind_of
from ..formats.json_parser import JsonTextError
from ..formats.json_text import read_json_text
from ..layout import LayoutError

TAKEN_FROM = "taken_from"  # key of an editor's layout: the hash of the linked text that it was taken from
INPUT = "layout_text"  # name of the node's input
# FNV-1a, 64 bits.
OFFSET_BASIS = 0xCBF29CE484222325
PRIME = 0x100000001B3
BITS = 64


def text_hash(text: str) -> str:
    """FNV-1a of a text in UTF-16, low byte first, as 16 hexadecimal digits. Not for secrets."""
    value = OFFSET_BASIS
    for byte in text.encode("utf-16-le", "surrogatepass"):
        value = (value ^ byte) * PRIME % (1 << BITS)
    return f"{value:016x}"


def counts(linked_text: Any, own: Any) -> bool:
    """Whether the text of a link counts, and not the editor's own layout.

    linked_text: None without a link. It does not count if the editor's layout was taken from this very text.
    own: JSON text of the editor's layout. If it cannot be read, it was not taken over.

    Raises LayoutError if the linked value is no text, or is empty and counts.
    """
    if linked_text is None:
        return False
    if not isinstance(linked_text, str):
        raise LayoutError(
            f"{INPUT} must be text, got {kind_of(linked_text)}. Link a STRING output, or remove the link."
        )
    if _taken_from(own) == text_hash(linked_text):
        return False
    if not linked_text.strip(WHITE):
        raise LayoutError(
            f"{INPUT} is empty: the linked node gave no text. Link a text with a layout, or remove the link."
        )
    return True


def _taken_from(own: Any) -> Any:
    """The hash in a layout of this pack's format; None if there is none or the text cannot be read."""
    try:
        data = read_json_text(own).value if isinstance(own, str) and TAKEN_FROM in own else None
    except JsonTextError:
        return None
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return data.get(TAKEN_FROM) if isinstance(data, dict) and "boxes" in data else None
