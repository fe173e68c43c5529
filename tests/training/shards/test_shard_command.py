"""Pictures written as shards: whole, resumable, and read by webdataset."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import webdataset
from picture_files import varied
from PIL import Image
from shard_files import contents, opened, shard

from training.pictures.folder import FolderSamples
from training.pictures.samples import Samples
from training.pictures.shards import writer

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


def test_our_own_shards_can_be_indexed_anew(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard(pictures, out, "--samples", 4)
    first = contents(out)["index.jsonl"].split(b"\n")[1:]
    (out / "index.jsonl").unlink()
    shard("--index", out)
    assert contents(out)["index.jsonl"].split(b"\n")[1:] == first


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
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled" / "a.PNG").touch()
    assert "has pictures, such as a.PNG, which a training" in message(pictures, tmp_path / "filled")


def test_only_temporary_files_of_the_command_are_removed(pictures: Path, tmp_path: Path) -> None:
    own = ["pictures-000003.part", "pictures-000003.tar.rows.part", "a.tar.rows.part", "index.jsonl.part"]
    for name in (*own, "film.mkv.part"):
        (tmp_path / name).touch()
    shard(pictures, tmp_path)
    assert [path.name for path in tmp_path.glob("*.part")] == ["film.mkv.part"]


def test_shards_are_written_anew_after_what_the_error_says(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shard(pictures, out, "--samples", 4)
    (out / "pictures-000000.tar").unlink()
    shard(pictures, out, "--samples", 4, status=2)
    assert f"Remove {out / 'index.jsonl'} and the shards to write all again." in capsys.readouterr().err
    for path in (out / "index.jsonl", *out.glob("*.tar")):
        path.unlink()
    shard(pictures, out, "--samples", 4)
