"""Files that are whole or not there, and names for what is in them."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

from PIL import Image

BLOCK = 2**20  # bytes


def write_whole(path: Path, content: bytes) -> None:
    """In the place of what was there, at once: whoever is killed in between leaves the old file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    os.replace(new, path)


def json_bytes(value: Any) -> bytes:
    """As people read it, keys as they come."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def png_bytes(picture: Image.Image) -> bytes:
    """The pixels alone: what a picture's file told besides is left out, so that the same pixels are the same bytes."""
    out = io.BytesIO()
    rgb = picture.convert("RGB")
    Image.frombytes("RGB", rgb.size, rgb.tobytes()).save(out, "PNG")
    return out.getvalue()


def digest_of(*paths: Path) -> str:
    """SHA-256 of the files' contents, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def keep_settings(path: Path, settings: dict[str, Any], what: str) -> None:
    """Write the settings that a folder's files come from, or check that they are those of the files that are there.

    Raises ValueError that names what differs.
    """
    content = json_bytes(settings)
    if path.exists() and path.read_bytes() != content:
        try:
            before = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{path} cannot be read ({error}). Remove {path.parent}, or choose another folder."
            ) from error
        keys = before.keys() | settings.keys() if isinstance(before, dict) else ()
        differing = [
            f"{key} was {before.get(key)!r}, is {settings.get(key)!r}"
            for key in sorted(keys)
            if before.get(key) != settings.get(key)
        ]
        raise ValueError(
            f"{path.parent} holds {what} of other settings: {_short('; '.join(differing))}. Choose another folder, or remove this one."
        )
    if not path.exists():
        write_whole(path, content)


def _short(text: str, most: int = 600) -> str:
    return text if len(text) <= most else f"{text[:most]} .."
