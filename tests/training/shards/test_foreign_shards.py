"""Shards of other software, indexed by the command."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from picture_files import BOX
from PIL import Image
from shard_files import opened, shard


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def foreign(folder: Path) -> Path:
    """Two shards as webdataset's own ShardWriter makes them, with further files in each sample."""
    folder.mkdir()
    with webdataset.ShardWriter(str(folder / "part-%03d.tar"), maxcount=6, verbose=0) as shards:
        for number in range(10):
            layout = {"caption": f"picture {number}", "annotations": [BOX]}
            sample = {"jpg": jpeg(number), "json": layout, "txt": "a text", "cls": number}
            shards.write({"__key__": f"set/{number:04}", **sample})
    return folder


def test_shards_of_webdataset_can_be_indexed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = foreign(tmp_path / "foreign")
    with pytest.raises(ValueError, match="python -m training shard --index"):
        opened(folder)
    shard("--index", folder)
    assert capsys.readouterr().out.startswith("10 pictures in 2 shards, ")
    samples = opened(folder)
    assert [samples.name(n) for n in range(10)] == [f"set/{n:04}.jpg" for n in range(10)]
    assert [samples.layout(n).caption for n in range(10)] == [f"picture {n}" for n in range(10)]
    assert samples.picture(7).tobytes() == Image.open(io.BytesIO(jpeg(7))).tobytes()
    assert samples.size(7) == (40, 30)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def test_samples_of_other_kinds_are_left_out_with_their_reasons(tmp_path: Path) -> None:
    layout = json.dumps({"annotations": [BOX]}).encode()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "good.json", layout)
        add(tar, "good.jpg", jpeg(0))
        add(tar, "alone.jpg", jpeg(1))
        add(tar, "two.jpg", jpeg(2))
        add(tar, "two.png", jpeg(3))
        add(tar, "two.json", layout)
        add(tar, "cut.jpg", jpeg(4)[:700])
        add(tar, "cut.json", layout)
        add(tar, "text.json", layout)
        add(tar, "old.gif", b"GIF")
        add(tar, "old.json", layout)
    shard("--index", tmp_path, "--max-bad", 0.9)
    samples = opened(tmp_path)
    assert [samples.name(n) for n in range(len(samples))] == ["good.jpg"]
    lines = dict(line.split("\t") for line in (tmp_path / "left_out.txt").read_text().splitlines())
    assert "has no layout: there is no alone.json beside it" in lines["alone.jpg"]
    assert "has 2 pictures (two.jpg, two.png); expected one" in lines["two"]
    assert f"{tmp_path / 'a.tar'}/cut.jpg cannot be read" in lines["cut.jpg"]
    assert "has 0 pictures (none); expected one" in lines["text"]
    assert "old.gif is no .jpg" in lines["old.gif"]


def test_samples_of_one_name_are_all_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            add(tar, "0.jpg", jpeg(0))
            add(tar, "1.jpg", jpeg(0))
            add(tar, "1.json", json.dumps({"annotations": [BOX]}).encode())
    shard("--index", tmp_path, status=2)
    assert "3 of 6 pictures cannot be used" in capsys.readouterr().err
    shard("--index", tmp_path, "--max-bad", 0.5)
    assert capsys.readouterr().out.startswith("3 pictures in 3 shards, 0.0 MB")
    assert (tmp_path / "left_out.txt").read_text().count("no layout") == 3


def test_names_that_begin_anew_in_each_shard_get_those_of_the_shards(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            add(tar, "0.jpg", jpeg(0))
            add(tar, "0.json", json.dumps({"annotations": [BOX]}).encode())
    shard("--index", tmp_path)
    samples = opened(tmp_path)
    assert [samples.name(0), samples.name(1)] == ["a/0.jpg", "b/0.jpg"]


@pytest.mark.parametrize("damage", ["cut", "no tar", "compressed", "none"])
def test_files_that_are_no_whole_tars_are_errors(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = foreign(tmp_path / "foreign")
    path = folder / "part-001.tar"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9000])
    elif damage == "no tar":
        path.write_bytes(b"no tar" * 1000)
    elif damage == "compressed":
        path.rename(folder / "part-001.tar.gz")
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    shard("--index", folder, status=2)
    message = capsys.readouterr().err
    expected = {
        "cut": f"{path} is ",
        "no tar": f"{path} is no whole tar file",
        "compressed": "has compressed shards, such as part-001.tar.gz",
        "none": f"There are no .tar files in {folder}",
    }
    assert expected[damage] in message
    assert not (folder / "index.jsonl").exists()
