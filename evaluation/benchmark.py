"""A benchmark: layouts that two people can know to be the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifadapter_core.layout import Layout, LayoutError
from ifadapter_core.layout_formats import from_json

from .files import json_bytes, write_whole

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """A layout and the name that its picture bears."""

    name: str
    layout: Layout


@dataclass(frozen=True)
class Benchmark:
    """entries: in the order of the manifest. source: what they were made from, for people. digest: changes with any layout."""

    entries: tuple[Entry, ...]
    source: dict[str, Any]
    digest: str


class BenchmarkError(ValueError):
    """The folder is not the benchmark that its manifest names."""


def release_json(layout: Layout) -> str:
    """In the release's format, boxes in pixels, with the size of the canvas."""
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
    """Write ``layouts/NAME.json`` of each, and a manifest with their hashes."""
    hashes = {}
    for name, layout in layouts.items():
        content = release_json(layout).encode()
        write_whole(folder / "layouts" / f"{name}.json", content)
        hashes[name] = hashlib.sha256(content).hexdigest()
    manifest = {"digest": _digest(hashes), "source": source, "layouts": hashes}
    write_whole(folder / MANIFEST, json_bytes(manifest))
    return read_benchmark(folder)


def read_benchmark(folder: Path) -> Benchmark:
    """Raises BenchmarkError when a layout is missing, was changed, or is no layout."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BenchmarkError(
            f"{folder} has no {MANIFEST}. Give the folder that `python -m evaluation build` wrote."
        )
    try:
        manifest = json.loads(path.read_text("utf-8"))
        hashes: dict[str, str] = manifest["layouts"]
        source: dict[str, Any] = manifest["source"]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path} is no manifest ({error}). Build the benchmark again.") from error
    entries = tuple(
        _read_entry(folder / "layouts" / f"{name}.json", name, expected) for name, expected in hashes.items()
    )
    return Benchmark(entries, source, _digest(hashes))


def _read_entry(path: Path, name: str, expected: str) -> Entry:
    if not path.is_file():
        raise BenchmarkError(f"{path} is missing. Copy the whole benchmark, or build it again.")
    text = path.read_text("utf-8")
    if hashlib.sha256(text.encode()).hexdigest() != expected:
        raise BenchmarkError(
            f"{path} is not the layout that the manifest names: it was changed. Restore it, or build the benchmark again."
        )
    try:
        content = json.loads(text)
        return Entry(name, from_json(text, content["width"], content["height"]))
    except (LayoutError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: {error}") from error


def _digest(hashes: dict[str, str]) -> str:
    return hashlib.sha256(
        "\n".join(f"{name} {value}" for name, value in sorted(hashes.items())).encode()
    ).hexdigest()
