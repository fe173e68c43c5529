"""Benchmarks: layouts with content hashes, so that two people can check that theirs are the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifadapter_core.layout import Layout, LayoutError
from ifadapter_core.layout_formats import from_json

from .files import json_bytes, write_atomic

MANIFEST = "manifest.json"


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
        hashes: dict[str, str] = manifest["layouts"]
        source: dict[str, Any] = manifest["source"]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(
            f"{path} is not a valid manifest ({error}). Build the benchmark again."
        ) from error
    entries = tuple(
        _read_entry(folder / "layouts" / f"{name}.json", name, expected) for name, expected in hashes.items()
    )
    return Benchmark(entries, source, _digest(hashes))


def _read_entry(path: Path, name: str, expected: str) -> Entry:
    """expected: SHA-256 of the file's text, from the manifest."""
    if not path.is_file():
        raise BenchmarkError(f"{path} is missing. Copy the whole benchmark, or build it again.")
    text = path.read_text("utf-8")
    if hashlib.sha256(text.encode()).hexdigest() != expected:
        raise BenchmarkError(
            f"{path} was changed: its hash is not the manifest's. Restore the file, "
            "or build the benchmark again."
        )
    try:
        content = json.loads(text)
        return Entry(name, from_json(text, content["width"], content["height"]))
    except (LayoutError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: {error}") from error


def _digest(hashes: dict[str, str]) -> str:
    """SHA-256 over all names and hashes, independent of their order."""
    lines = "\n".join(f"{name} {value}" for name, value in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
