"""The index of a folder: a second start reads what has changed, and nothing else."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from picture_files import BOX, write
from PIL import Image

from training.pictures import folder as folder_module
from training.pictures.folder import INDEX, FolderSamples
from training.pictures.samples import Subset


class Reads:
    """Counts the pictures and layouts that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        for name in ("read_layout", "picture_size"):
            monkeypatch.setattr(folder_module, name, self._counted(getattr(folder_module, name)))

    def _counted(self, read):  # type: ignore[no-untyped-def]
        def counted(path, *given, **named):  # type: ignore[no-untyped-def]
            self.names.append(path.name)
            return read(path, *given, **named)

        return counted

    def take(self) -> set[str]:
        """The names since the last call."""
        found, self.names = set(self.names), []
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, the last in a subfolder; b has no layout and c is no picture."""
    found = tmp_path / "pictures"
    (found / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png", "more/d.png"):
        write(found, name)
    (found / "b.json").unlink()
    (found / "c.png").write_bytes(b"no picture")
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def everything(samples: FolderSamples) -> list[object]:
    """All that a source tells about its samples."""
    usable = [index for index in range(len(samples)) if index not in samples.bad]
    return [
        [samples.name(index) for index in range(len(samples))],
        [(samples.size(index), samples.layout(index)) for index in usable],
        dict(samples.bad),
        samples.fingerprint(),
    ]


def test_a_second_start_reads_no_file_and_tells_the_same(folder: Path, reads: Reads) -> None:
    first = everything(FolderSamples(folder))
    assert reads.take() == {"a.png", "b.png", "c.png", "d.png"}
    before = (folder / INDEX).read_bytes()
    second = FolderSamples(folder)
    assert reads.take() == set()
    assert everything(second) == first
    assert (folder / INDEX).read_bytes() == before
    assert list(second.bad) == [1, 2]
    assert f"{folder / 'b.png'} has no layout: there is no b.json beside it." in second.bad[1]
    assert f"{folder / 'c.png'} cannot be read" in second.bad[2]


def test_changes_are_seen_and_only_they_are_read(folder: Path, reads: Reads) -> None:
    old = FolderSamples(folder).fingerprint()

    def start() -> FolderSamples:
        reads.take()
        return FolderSamples(folder)

    # A changed layout of the same length.
    layout = {"caption": "a.pnG", "annotations": [BOX]}
    (folder / "a.json").write_text(json.dumps(layout))
    samples = start()
    assert reads.take() == {"a.png"}
    assert samples.layout(0).caption == "a.pnG"
    assert samples.fingerprint() != old

    # A replaced picture of another shape.
    Image.new("RGB", (80, 50)).save(folder / "a.png")
    samples = start()
    assert reads.take() == {"a.png"}
    assert samples.size(0) == (80, 50)

    # An added picture, and a layout where there was none.
    write(folder, "more/c.png")
    shutil.copy(folder / "a.json", folder / "b.json")
    samples = start()
    assert reads.take() == {"b.png", "c.png"}
    assert [samples.name(index) for index in range(len(samples))] == [
        *("a.png", "b.png", "c.png", "more/c.png", "more/d.png")
    ]
    assert list(samples.bad) == [2]

    # Removed pictures and layouts.
    (folder / "more" / "d.png").unlink()
    (folder / "a.json").unlink()
    samples = start()
    assert reads.take() == {"a.png"}
    assert len(samples) == 4
    assert "a.png has no layout" in samples.bad[0]
    assert start().fingerprint() == samples.fingerprint()
    assert reads.take() == set()


def test_a_replaced_picture_with_the_times_of_the_old_one_is_seen(folder: Path, reads: Reads) -> None:
    path = folder / "a.png"
    FolderSamples(folder)
    found, content = path.stat(), path.read_bytes()
    reads.take()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert path.stat().st_size == found.st_size
    FolderSamples(folder)
    assert reads.take() == {"a.png"}


@pytest.mark.parametrize("damage", ["cut", "edited", "foreign", "empty", "other version", "a line less"])
def test_an_index_that_is_not_whole_is_made_anew(
    folder: Path, reads: Reads, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    expected = everything(FolderSamples(folder))
    place = folder / INDEX
    before = place.read_bytes()
    place.write_bytes(
        {
            "cut": before[:-40],
            "edited": before.replace(b"a thing", b"A thing"),
            "foreign": b'{"images": []}\n',
            "empty": b"",
            "other version": before.replace(b'"version": 1', b'"version": 0'),
            "a line less": b"\n".join(before.split(b"\n")[:-2]) + b"\n",
        }[damage]
    )
    reads.take()
    with caplog.at_level(logging.WARNING):
        assert everything(FolderSamples(folder)) == expected
    assert "The index is made anew" in caplog.text
    assert reads.take() == {"a.png", "b.png", "c.png", "d.png"}
    assert place.read_bytes() == before


def test_an_index_of_other_code_is_made_anew(
    folder: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    FolderSamples(folder)
    reads.take()
    (tmp_path / "reader.py").write_text("newer")
    monkeypatch.setattr(folder_module, "READERS", (tmp_path / "reader.py",))
    FolderSamples(folder)
    assert reads.take() == {"a.png", "b.png", "c.png", "d.png"}


def test_a_moved_folder_keeps_its_index_and_names_its_new_place(folder: Path, reads: Reads) -> None:
    old = FolderSamples(folder).fingerprint()
    moved = folder.rename(folder.with_name("moved"))
    reads.take()
    samples = FolderSamples(moved)
    assert reads.take() == {"b.png", "c.png"}  # their reasons have the path
    assert str(moved / "b.png") in samples.bad[1]
    assert samples.fingerprint() == old


def test_a_folder_that_cannot_be_written_has_its_index_in_the_spare_one(
    folder: Path, tmp_path: Path, reads: Reads, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder in the place of the index keeps even the superuser from writing it."""
    (folder / INDEX).mkdir()
    folder.chmod(0o555)
    first = everything(FolderSamples(folder, spare=tmp_path / "run" / "indexes"))
    reads.take()
    assert everything(FolderSamples(folder, spare=tmp_path / "run" / "indexes")) == first
    assert reads.take() == set()
    with caplog.at_level(logging.WARNING):
        assert everything(FolderSamples(folder)) == first
    assert "each start reads all layouts" in caplog.text
    folder.chmod(0o755)


def test_a_picture_that_changes_after_the_start_is_an_error(folder: Path) -> None:
    samples = FolderSamples(folder)
    Image.new("RGB", (80, 50)).save(folder / "a.png")
    with pytest.raises(ValueError, match=r"a\.png has changed since the start: it has 80 x 50 pixels in"):
        samples.picture(0)


def test_samples_can_be_pickled_and_chosen(folder: Path) -> None:
    samples = FolderSamples(folder)
    copied = pickle.loads(pickle.dumps(samples))
    assert everything(copied) == everything(samples)
    chosen = Subset(copied, [3, 1])
    assert [chosen.name(0), chosen.name(1)] == ["more/d.png", "b.png"]
    assert dict(chosen.bad) == {1: samples.bad[1]}
    assert chosen.layout(0) == samples.layout(3)
    assert chosen.picture(0).size == samples.size(3)
    assert sorted(chosen.order(3, 1).tolist()) == [0, 1]
    assert chosen.fingerprint() != samples.fingerprint()
    inner = Subset(chosen, [1])
    assert inner.where(0) == samples.where(1)
    assert inner.identity(0) == samples.identity(1)
    with pytest.raises(ValueError, match="has no layout"):
        inner.size(0)


@pytest.mark.slow
def test_of_several_processes_one_reads_the_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("fork")
    count = context.Value("i", 0)
    together = context.Barrier(3)
    read = folder_module.read_layout

    def counted(*given: Any) -> Any:
        with count.get_lock():
            count.value += 1
        return read(*given)

    def start() -> None:
        together.wait()
        assert list(FolderSamples(folder).bad) == [1, 2]

    monkeypatch.setattr(folder_module, "read_layout", counted)
    processes = [context.Process(target=start) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert count.value == 3  # a, b and d; c is no picture
