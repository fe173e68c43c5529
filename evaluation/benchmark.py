"""Benchmarks: layouts with content hashes, so that two people can check that theirs are the same."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifadapter_core.layout import Layout
from ifadapter_core.layout_formats import from_json

from .files import inside, json_bytes, write_atomic

MANIFEST = "manifest.json"
MAX_NAME = 200  # characters


@dataclass(frozen=True)
class Entry:
    """A named layout.

    name: file name of the layout and of its picture, without extension.
    layout: canvas size in pixels and instances.
    """

    name: str
    layout: Layout


@dataclass(frozen=True)
class Benchmark:
    """A set of layouts.

    entries: named layouts in the manifest's order.
    source: origin of the layouts, for people.
    digest: SHA-256 over all layouts; any change of a layout changes it.
    """

    entries: tuple[Entry, ...]
    source: dict[str, Any]
    digest: str


class BenchmarkError(ValueError):
    """The folder's files do not match its manifest."""


def check_name(name: str) -> None:
    """Raises BenchmarkError if a layout's name cannot be a file name in any folder."""
    if not re.fullmatch(r"[\w-][\w.-]*", name) or len(name) > MAX_NAME:
        raise BenchmarkError(
            f"{name[:MAX_NAME]!r} is not a name of a layout. Expected 1 to {MAX_NAME} letters, digits, "
            "underscores, dots and dashes, without a dot at the beginning."
        )


def release_json(layout: Layout) -> str:
    """The layout in the release's JSON format: boxes as x, y, width, height in pixels of the canvas."""
    annotations = [
        {
            "box": [
                round(box.x0 * layout.width, 3),
                round(box.y0 * layout.height, 3),
                round((box.x1 - box.x0) * layout.width, 3),
                round((box.y1 - box.y0) * layout.height, 3),
            ],
            "caption": instance.local_description,
        }
        for instance in layout.instances
        for box in [instance.box]
    ]
    content = {
        "caption": layout.caption,
        "width": layout.width,
        "height": layout.height,
        "annotations": annotations,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_benchmark(folder: Path, layouts: dict[str, Layout], source: dict[str, Any]) -> Benchmark:
    """Write ``layouts/NAME.json`` for each layout, and a manifest with their hashes."""
    for name in layouts:
        check_name(name)
    hashes = {}
    for name, layout in layouts.items():
        content = release_json(layout).encode()
        write_atomic(folder / "layouts" / f"{name}.json", content)
        hashes[name] = hashlib.sha256(content).hexdigest()
    manifest = {"digest": _digest(hashes), "source": source, "layouts": hashes}
    write_atomic(folder / MANIFEST, json_bytes(manifest))
    return read_benchmark(folder)


def read_benchmark(folder: Path) -> Benchmark:
    """Raises BenchmarkError if the manifest or a layout is missing, invalid or was changed."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BenchmarkError(
            f"{folder} has no {MANIFEST}. Give a folder written by `python -m evaluation build`."
        )
    try:
        manifest = json.loads(path.read_text("utf-8"))
        hashes: dict[str, str] = dict(manifest["layouts"])
        source: dict[str, Any] = dict(manifest["source"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BenchmarkError(
            f"{path} is not a valid manifest ({error}). Build the benchmark again."
        ) from error
    entries = tuple(_read_entry(folder, name, expected) for name, expected in hashes.items())
    return Benchmark(entries, source, _digest(hashes))


def _read_entry(folder: Path, name: str, expected: Any) -> Entry:
    """expected: SHA-256 of the file's text, from the manifest."""
    check_name(name)
    path = inside(folder, f"layouts/{name}.json")
    if not path.is_file():
        raise BenchmarkError(f"{path} is missing. Copy the whole benchmark, or build it again.")
    text = path.read_text("utf-8", errors="replace")
    if hashlib.sha256(text.encode()).hexdigest() != expected:
        raise BenchmarkError(
            f"{path} was changed: its hash is not the manifest's. Restore the file, "
            "or build the benchmark again."
        )
    try:
        return Entry(name, _layout(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BenchmarkError(f"{path} is not a layout: {error}") from error


def _layout(text: str) -> Layout:
    """A layout with its own canvas size in whole pixels."""
    content = json.loads(text)
    width, height = content["width"], content["height"]
    if not isinstance(width, int) or not isinstance(height, int):
        raise TypeError("width and height must be whole numbers")
    return from_json(text, width, height)


def _digest(hashes: dict[str, str]) -> str:
    """SHA-256 over all names and hashes, independent of their order."""
    lines = "\n".join(f"{name} {value}" for name, value in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
