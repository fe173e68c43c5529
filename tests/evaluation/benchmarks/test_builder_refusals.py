"""The builder: pictures outside of their folder or of another shape, and answers that are no descriptions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest
from coco_files import COUNT, SIZE, Serve, builder, drafts
from loopback import completion
from PIL import Image

from evaluation.build.boxes import NoDescriptionError
from evaluation.build.builder import CocoBuilder
from evaluation.build.coco import Draft
from evaluation.vision_language import AnswerError, Endpoint


def only(coco: Path, file_name: str) -> list[Draft]:
    """The first draft, as if its file had this name."""
    return [replace(drafts(coco)[0], file_name=file_name)]


@pytest.mark.parametrize("kind", ["parent", "absolute", "symlink"])
def test_a_picture_outside_of_the_folder_is_never_read(
    coco: Path, tmp_path: Path, serve: Serve, kind: str
) -> None:
    (tmp_path / "images").mkdir()
    private = tmp_path / "private.png"
    Image.new("RGB", (80, 60)).save(private)
    (tmp_path / "images" / "link.png").symlink_to(private)
    name = {"parent": "../private.png", "absolute": str(private), "symlink": "link.png"}[kind]
    server = serve()
    with pytest.raises(ValueError, match=r"'.*' is outside of .*images: it leads to '.*private\.png'"):
        CocoBuilder(tmp_path / "out", tmp_path / "images", SIZE, Endpoint(server.url, "tiny-vl"), {}).build(
            only(coco, name)
        )
    assert not server.requests
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", ["truncated", "turned"])
def test_all_pictures_are_checked_before_the_first_question(
    coco: Path, tmp_path: Path, serve: Serve, fault: str
) -> None:
    shutil.copytree(coco / "images", tmp_path / "images")
    path = tmp_path / "images" / drafts(coco)[-1].file_name
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(path).save(path, exif=exif)
    server = serve()
    message = (
        "cannot be read" if fault == "truncated" else r"has \(60, 80\) pixels, its annotation says \(80, 60\)"
    )
    with pytest.raises(ValueError, match=message):
        CocoBuilder(tmp_path / "out", tmp_path / "images", SIZE, Endpoint(server.url, "tiny-vl"), {}).build(
            drafts(coco)
        )
    assert not server.requests


def test_refusals_are_counted_and_never_written(
    coco: Path, tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The wrapping of the other answers is removed."""
    refusal = completion("<think>Who is it?</think>I'm sorry, but I can't help with that.")
    first = [
        completion(f"<think>Hm.</think>**Answer:** {text}<|im_end|>")
        for text in ("a kite", "a bird", "a cat")
    ]
    server = serve(faults=[*first, completion('{"caption": "a sky"}'), None, refusal])
    benchmark = builder(coco, tmp_path, server).build(drafts(coco))
    assert len(benchmark.entries) == COUNT - 1
    assert benchmark.entries[0].layout.prompt == "a sky, a kite, a bird, a cat"
    (line,) = (record.message for record in caplog.records if record.name == "root")
    left_out = drafts(coco)[1].file_name
    assert line.startswith(
        f"Left out because the model did not describe them: 1 of 4 pictures, for example {left_out}"
    )
    assert "I'm sorry" in line
    assert not any("sorry" in path.read_text("utf-8") for path in (tmp_path / "layouts").iterdir())
    assert not (tmp_path / "real" / f"{Path(left_out).stem}.png").exists()


def test_a_model_that_describes_nothing_is_an_error(coco: Path, tmp_path: Path, serve: Serve) -> None:
    server = serve(faults=[completion("<think>I wonder")] * COUNT * 4)
    with pytest.raises(
        AnswerError, match=r"tiny-vl did not describe 4 of 4 pictures, for example .*I wonder"
    ):
        builder(coco, tmp_path, server).build(drafts(coco))
    assert not (tmp_path / "manifest.json").exists()
    assert len(server.requests) == COUNT


def test_a_model_that_describes_none_of_the_first_pictures_ends_the_build(
    coco: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if a picture that was asked about at the same time gets a description afterwards."""
    monkeypatch.setattr("evaluation.build.builder.MAX_UNDESCRIBED", 2)
    refusals = Queue[None]()
    make = builder(coco, tmp_path, serve(), requests=3)
    describe, first = make._describe, drafts(coco)[0]

    def one_late(draft: Draft) -> None:
        if draft != first:
            refusals.put(None)
            raise NoDescriptionError(f"{draft.file_name}: nothing")
        for _ in range(2):
            refusals.get()
        describe(draft)

    monkeypatch.setattr(make, "_describe", one_late)
    with pytest.raises(AnswerError, match=r"tiny-vl described none of the first \d pictures, for example"):
        make.build(drafts(coco))
    assert not (tmp_path / "manifest.json").exists()
    assert builder(coco, tmp_path, serve()).build(drafts(coco)).entries  # the next run goes on


def test_a_benchmark_is_not_complete_before_every_picture_was_asked_about(
    coco: Path, tmp_path: Path, serve: Serve
) -> None:
    with pytest.raises(AnswerError, match="4 pictures were given, but not all were asked about"):
        builder(coco, tmp_path, serve(), requests=0).build(drafts(coco))
    assert not (tmp_path / "manifest.json").exists()
