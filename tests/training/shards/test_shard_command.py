"""Pictures written as shards: whole, resumable, and read by webdataset."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from picture_files import BOX, varied
from PIL import Image

import training.__main__ as command
from training.config import FolderConfig
from training.pictures.folder import FolderSamples
from training.pictures.samples import Samples
from training.pictures.shards import writer
from training.pictures.sources import open_samples

NAMES = (
    *(f"{number:02}.jpg" for number in range(8)),
    "more/v1.2 a.PNG",
    "more/v1.3 a.png",
    ".hidden.webp",
    "00.png",  # shares 00.json
    "Äpfel/ü 100%.bmp",
    f"{'deep/' * 12}{'long' * 25}.png",
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return varied(tmp_path / "pictures", NAMES)


def shard(*arguments: object, status: int = 0) -> None:
    if not status:
        command.main(["shard", *map(str, arguments)])
        return
    with pytest.raises(SystemExit) as stopped:
        command.main(["shard", *map(str, arguments)])
    assert stopped.value.code == status


def opened(folder: Path) -> Samples:
    return open_samples(str(folder), FolderConfig(str(folder), 64))


def contents(folder: Path) -> dict[str, bytes]:
    """The files of an output, but for locks."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def everything(samples: Samples) -> list[tuple[Any, ...]]:
    numbers = range(len(samples))
    return [
        (samples.name(n), samples.size(n), samples.layout(n), samples.picture(n).tobytes()) for n in numbers
    ]


def test_shards_have_the_same_samples_as_their_folder(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard(pictures, tmp_path / "out", "--samples", 4)
    assert capsys.readouterr().out == f"14 pictures in 4 shards, 0.1 MB, in {tmp_path / 'out'}.\n"
    assert sorted(contents(tmp_path / "out")) == [
        "index.jsonl",
        *(f"pictures-{number:06d}.tar" for number in range(4)),
    ]
    folder, shards = FolderSamples(pictures), opened(tmp_path / "out")
    assert everything(shards) == everything(folder)
    assert shards.fingerprint() == folder.fingerprint()
    assert {samples.order(3, 2).tolist()[0] for samples in (folder, shards)} == {
        folder.order(3, 2).tolist()[0]
    }


def test_webdataset_reads_the_shards_with_unchanged_bytes(pictures: Path, tmp_path: Path) -> None:
    shard(pictures, tmp_path / "out", "--samples", 4)
    urls = sorted(map(str, (tmp_path / "out").glob("*.tar")))
    found = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert len({sample["__key__"] for sample in found}) == len(NAMES)
    files = {path.read_bytes() for path in pictures.rglob("*") if path.is_file()}
    for sample in found:
        kinds = sorted(key for key in sample if not key.startswith("__"))
        assert len(kinds) == 2
        assert "json" in kinds
        assert {sample[kind] for kind in kinds} <= files
    shards = webdataset.WebDataset(urls, shardshuffle=False).decode("pil")
    sizes = {
        layout["caption"]: picture.size for picture, layout in shards.to_tuple("jpg;png;webp;bmp", "json")
    }
    assert sizes["03.jpg"] == Image.open(pictures / "03.jpg").size
    assert len(sizes) == len(NAMES) - 1  # 00.jpg and 00.png share a layout


def test_the_size_limits_a_shard(pictures: Path, tmp_path: Path) -> None:
    shard(pictures, tmp_path / "out", "--size-mb", 0.03)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "out").glob("*.tar"))]
    assert len(sizes) > 2
    assert max(sizes) <= 30_000 + 10_240  # a tar file is rounded up
    assert everything(opened(tmp_path / "out")) == everything(FolderSamples(pictures))


def test_bad_pictures_are_left_out_and_listed(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "01.json").unlink()
    content = (pictures / "02.jpg").read_bytes()
    (pictures / "02.jpg").write_bytes(content[: len(content) // 2])
    for name in ("04", "05", "06", "07"):  # a whole shard
        (pictures / f"{name}.json").write_text("{}")
    out = tmp_path / "out"
    shard(pictures, out, "--samples", 2, status=2)
    message = capsys.readouterr().err
    assert "6 of 14 pictures cannot be used, more than --max-bad, 10%." in message
    with pytest.raises(ValueError, match="shards without an index"):
        opened(out)

    written = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    shard(pictures, out, "--samples", 2, "--max-bad", 0.5)
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tar")} == written
    assert f"6 pictures are left out: see {out / 'left_out.txt'}" in capsys.readouterr().out
    lines = dict(line.split("\t") for line in (out / "left_out.txt").read_text().splitlines())
    assert list(lines) == ["01.jpg", "02.jpg", "04.jpg", "05.jpg", "06.jpg", "07.jpg"]
    assert f"{pictures / '02.jpg'} cannot be read" in lines["02.jpg"]
    assert "no known format" in lines["04.jpg"]
    bad = {name.split(".")[0] for name in lines}
    kept = [row for row in range(14) if FolderSamples(pictures).name(row).split(".")[0] not in bad]
    assert [opened(out).name(n) for n in range(8)] == [FolderSamples(pictures).name(row) for row in kept]
    assert contents(out)["index.jsonl"].count(b"\n") == 9


# Stopping


MOMENTS: tuple[tuple[Any, str], ...] = (  # what the command calls while it writes
    (os, "fsync"),
    (Path, "replace"),
    (Path, "unlink"),
    (webdataset.TarWriter, "write"),
)


def kill_at(call: int) -> None:
    """End this process at the given call of any of MOMENTS, before or after it acts."""
    calls = 0

    def counted(action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*given: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            done = action(*given, **named) if calls == call and call % 2 else None
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return done or action(*given, **named)

        return act

    for owner, name in MOMENTS:
        setattr(owner, name, counted(getattr(owner, name)))


def killed_run(pictures: Path, out: Path, call: int) -> None:
    kill_at(call)
    shard(pictures, out, "--samples", 4)


@pytest.mark.slow
def test_a_command_killed_at_any_moment_goes_on_to_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    shard(pictures, tmp_path / "whole", "--samples", 4)
    context = multiprocessing.get_context("fork")
    moments = random.Random(0)
    for attempt in range(12):
        out = tmp_path / f"killed {attempt}"
        finished: dict[str, float] = {}
        for call in (moments.randint(1, 30), moments.randint(1, 30)):
            process = context.Process(target=killed_run, args=(pictures, out, call))
            process.start()
            process.join(60)
            assert process.exitcode in (-signal.SIGKILL, 0)
            found = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
            assert {name: found[name] for name in finished} == finished  # not written again
            done = out.glob("*.tar.rows")
            finished = {path.stem: found[path.stem] for path in done if path.stem in found}
        shard(pictures, out, "--samples", 4)
        assert contents(out) == contents(tmp_path / "whole"), attempt


def test_ctrl_c_says_that_the_command_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shard(pictures, tmp_path / "whole", "--samples", 4)
    counts = iter(range(100))

    class Stopped(webdataset.TarWriter):  # type: ignore[misc]
        def write(self, sample: Any) -> int:
            if next(counts) == 6:
                signal.raise_signal(signal.SIGINT)
            return super().write(sample)

    with monkeypatch.context() as patch:
        patch.setattr(webdataset, "TarWriter", Stopped)
        shard(pictures, tmp_path / "out", "--samples", 4, status=130)
    assert capsys.readouterr().err == "Stopped. The same command goes on.\n"
    assert len(list((tmp_path / "out").glob("*.tar"))) == 1
    shard(pictures, tmp_path / "out", "--samples", 4)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["begun", "finished"])
def test_other_pictures_or_sizes_are_refused_when_it_goes_on(
    pictures: Path, tmp_path: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shard(pictures, out, "--samples", 4)
    if stage == "begun":
        plan = json.loads((out / "index.jsonl").read_bytes().split(b"\n")[0])["plan"]
        (out / writer.PLAN).write_text(json.dumps(plan))
        (out / "index.jsonl").unlink()
    shard(pictures, out, "--samples", 5, status=2)
    assert f"{out} has other shards: samples was 4, now 5." in capsys.readouterr().err
    varied(pictures, ["new.png"])
    shard(pictures, out, "--samples", 4, status=2)
    assert "the pictures have changed since: 14 then, 15 now." in capsys.readouterr().err


def test_a_finished_output_is_left_as_it_is(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shard(pictures, out)
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".lock"}
    first = capsys.readouterr().out
    shard(pictures, out)
    assert capsys.readouterr().out == first
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times
    (out / "pictures-000000.tar").unlink()
    shard(pictures, out, status=2)
    assert "pictures-000000.tar is missing or has changed. Remove" in capsys.readouterr().err
    (out / "index.jsonl").unlink()
    shard(pictures, out)
    assert capsys.readouterr().out == first


def test_wrong_folders_and_numbers_are_refused(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def message(*arguments: object) -> str:
        shard(*arguments, status=2)
        return capsys.readouterr().err

    assert "The output is the folder of the pictures" in message(pictures, pictures)
    assert "There is no folder" in message(tmp_path / "none", tmp_path / "out")
    assert "give a folder of pictures and an output" in message(pictures)
    assert "samples is 0; expected at least 1" in message(pictures, tmp_path / "out", "--samples", 0)
    assert "size_mb is 0.0; expected more than 0" in message(pictures, tmp_path / "out", "--size-mb", 0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.tar").touch()
    assert "has other tar files, such as a.tar" in message(pictures, tmp_path / "other")


# Shards of other software


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


def test_our_own_shards_can_be_indexed_anew(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard(pictures, out, "--samples", 4)
    first = contents(out)["index.jsonl"].split(b"\n")[1:]
    (out / "index.jsonl").unlink()
    shard("--index", out)
    assert contents(out)["index.jsonl"].split(b"\n")[1:] == first


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
