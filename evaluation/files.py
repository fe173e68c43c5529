"""Atomic file writes, content hashes, and pinned settings of output folders."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

from PIL import Image

BLOCK_BYTES = 2**20
JPEG_QUALITY = 92
MESSAGE_CHARACTERS = 600  # limit for the differences listed in one error message


def write_atomic(path: Path, content: bytes) -> None:
    """Write a temporary file, then rename: a killed process leaves the old file or none.

    Creates folders.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def inside(folder: Path, name: str) -> Path:
    """The path of a folder's file, whose name comes from a file of others.

    Raises ValueError if it leaves the folder, also through a symlink.
    """
    path = folder / name
    try:
        real, root = path.resolve(), folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of symlinks, or a null character
        raise ValueError(f"{folder} can have no file {name!r}: {error}.") from error
    if not real.is_relative_to(root):
        raise ValueError(
            f"{name!r} is outside of {folder}: it leads to {str(real)!r}. "
            "Give the name of a file in that folder, and copy files in place of symlinks."
        )
    return path


def json_bytes(value: Any) -> bytes:
    """Indented JSON in UTF-8 with a final newline; keys keep their order."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def png_bytes(picture: Image.Image) -> bytes:
    """PNG of the RGB pixels without metadata, so equal pixels give equal bytes."""
    out = io.BytesIO()
    rgb = picture.convert("RGB")
    Image.frombytes("RGB", rgb.size, rgb.tobytes()).save(out, "PNG")
    return out.getvalue()


def jpeg_bytes(picture: Image.Image) -> bytes:
    """JPEG of the RGB pixels, many times faster to write and smaller than a PNG of a photograph."""
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def digest_of(*paths: Path) -> str:
    """SHA-256 (hex) of the concatenated contents of the files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def pin_settings(path: Path, settings: dict[str, Any], contents: str) -> None:
    """Write the settings of an output folder, or check that the folder already has the same ones.

    Files of different settings must not be mixed in one folder; the bytes of ``path`` are the key
    for resuming.

    path: JSON file in the output folder.
    settings: everything that the folder's files depend on.
    contents: what the folder holds, for the message, for example "pictures".

    Raises ValueError with the differing settings if the folder was made with other ones.
    """
    content = json_bytes(settings)
    if not path.exists():
        write_atomic(path, content)
    elif path.read_bytes() != content:
        raise ValueError(
            f"{path.parent} holds {contents} made with other settings: "
            f"{_differences(path, settings)}. Choose another folder, or remove this one."
        )


def _differences(path: Path, settings: dict[str, Any]) -> str:
    """The settings that differ from those in the file, for a message."""
    try:
        before = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Remove {path.parent}, or choose another folder."
        ) from error
    keys = before.keys() | settings.keys() if isinstance(before, dict) else ()
    text = "; ".join(
        f"{key} was {before.get(key)!r}, is {settings.get(key)!r}"
        for key in sorted(keys)
        if before.get(key) != settings.get(key)
    )
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]} .."
