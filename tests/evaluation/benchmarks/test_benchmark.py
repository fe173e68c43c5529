"""Benchmarks: round trip, digests, and detection of changed files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.__main__ import main
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


def add_layout(folder: Path, name: str, text: str) -> None:
    """Add a layout to the manifest, and write it where the name leads to."""
    path = folder / "layouts" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["layouts"][name] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/b", "..", ".hidden", "", "a b", "a\\b", "c:d", "a\nb", "x" * 201]
)
def test_a_name_that_is_no_file_name_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["layouts"] = {name: manifest["layouts"]["a"]}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BenchmarkError, match=r"is not a name of a layout\. Expected 1 to 200 letters"):
        read_benchmark(folder)
    with pytest.raises(BenchmarkError, match="is not a name of a layout"):
        write_benchmark(tmp_path / "written", {name: LAYOUTS["a"]}, {})
    assert not (tmp_path / "written").exists()


def test_a_benchmark_cannot_make_generate_write_outside_its_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / "layouts" / "a.json").read_text("utf-8")
    add_layout(folder, "../evil", text)
    out = tmp_path_factory.mktemp("out")
    assert main(["generate", str(folder), str(out / "pictures"), "--demo", "demo"]) == 2
    assert "'../evil' is not a name of a layout" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_a_layout_outside_of_the_folder_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, elsewhere = folder / "layouts" / "b.json", tmp_path_factory.mktemp("elsewhere")
    path.rename(elsewhere / "b.json")
    path.symlink_to(elsewhere / "b.json")
    with pytest.raises(
        ValueError, match=r"'layouts/b\.json' is outside of .*: it leads to '.*elsewhere.*/b\.json'"
    ):
        read_benchmark(folder)


def test_a_linked_benchmark_is_read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("links") / "benchmark"
    link.symlink_to(folder)
    assert len(read_benchmark(link).entries) == 2


@pytest.mark.parametrize(
    "manifest",
    [
        "[" * 200_000,
        "[]",
        '{"layouts": [1], "source": {}}',
        '{"layouts": {}, "source": 3}',
        '{"layouts": "ab", "source": {}}',
    ],
    ids=["brackets", "list", "no hashes", "no source", "text"],
)
def test_another_manifest_is_an_error(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(BenchmarkError, match=r"manifest\.json is not a valid manifest"):
        read_benchmark(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "[" * 200_000,
        '{"annotations": []}',
        '{"annotations": [], "width": "9", "height": 9}',
        '{"annotations": [], "width": 9.5, "height": 9}',
        '{"annotations": [], "width": 0, "height": 9}',
    ],
    ids=["cut", "list", "brackets", "no size", "text", "half a pixel", "no pixel"],
)
def test_a_file_that_is_no_layout_is_an_error(folder: Path, content: Any) -> None:
    add_layout(folder, "c", content)
    with pytest.raises(BenchmarkError, match=r"c\.json is not a layout: "):
        read_benchmark(folder)
