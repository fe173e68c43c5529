"""Benchmarks: round trip, digests, and detection of changed files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation.benchmark import BenchmarkError, read_benchmark, write_benchmark
from ifadapter_core.layout import Box, Instance, Layout

LAYOUTS = {
    "b": Layout(
        640,
        480,
        (Instance(Box(0.25, 0.5, 0.75, 1.0), "a green sofa with white stripes"),),
        "a room",
    ),
    "a": Layout(
        512,
        512,
        (
            Instance(Box(0, 0, 0.5, 0.5), "ein Hund, braun-wei\N{LATIN SMALL LETTER SHARP S}"),
            Instance(Box(0.1, 0.1, 0.2, 0.9), "a lamp"),
        ),
        "",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_benchmark(tmp_path, LAYOUTS, {"seed": 3})
    return tmp_path


def test_round_trip(folder: Path) -> None:
    benchmark = read_benchmark(folder)
    assert {entry.name: entry.layout for entry in benchmark.entries} == LAYOUTS
    assert [entry.name for entry in benchmark.entries] == ["b", "a"]
    assert benchmark.source == {"seed": 3}


def test_layouts_have_the_release_format(folder: Path) -> None:
    content = json.loads((folder / "layouts" / "b.json").read_text("utf-8"))
    assert content["annotations"] == [
        {"box": [160.0, 240.0, 320.0, 240.0], "caption": "a green sofa with white stripes"}
    ]


def test_the_digest_depends_on_the_layouts_but_not_on_their_order(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    digest = read_benchmark(folder).digest
    assert (
        write_benchmark(tmp_path_factory.mktemp("other"), dict(reversed(LAYOUTS.items())), {}).digest
        == digest
    )
    assert write_benchmark(tmp_path_factory.mktemp("fewer"), {"a": LAYOUTS["a"]}, {}).digest != digest


def test_a_changed_layout_is_an_error(folder: Path) -> None:
    path = folder / "layouts" / "a.json"
    path.write_text(path.read_text("utf-8").replace("lamp", "lump"), "utf-8")
    with pytest.raises(BenchmarkError, match=r"a\.json was changed: its hash is not the manifest"):
        read_benchmark(folder)


def test_a_missing_layout_or_manifest_is_an_error(folder: Path, tmp_path: Path) -> None:
    (folder / "layouts" / "a.json").unlink()
    with pytest.raises(BenchmarkError, match=r"a\.json is missing"):
        read_benchmark(folder)
    with pytest.raises(BenchmarkError, match="has no manifest"):
        read_benchmark(tmp_path / "nowhere")
