"""Results in files that are named by a hash of the settings that made them, so that a run resumes."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray]


def digest(settings: Any) -> str:
    """Content hash of JSON values, dataclasses and paths: 16 hexadecimal digits."""
    text = json.dumps(settings, sort_keys=True, default=_as_json)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {"": type(value).__name__, **asdict(value)}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} has no place in a cache's settings.")


def write_atomic(path: Path, content: bytes) -> None:
    """Write a temporary file, then rename it. Several processes may write the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)


class Cache:
    """The folder of a run's cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, kind: str, settings: Any) -> Path:
        """The folder of these settings, which ``settings.json`` in it lists."""
        place = self.folder / kind / digest(settings)
        described = place / "settings.json"
        if not described.exists():
            text = json.dumps(settings, indent=2, sort_keys=True, default=_as_json)
            write_atomic(described, f"{text}\n".encode())
        return place

    def arrays(self, path: Path, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of a file, which is made if it does not exist."""
        if not path.exists():
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **make())  # type: ignore[arg-type]  # its stubs take no dict
            write_atomic(path, buffer.getvalue())
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
