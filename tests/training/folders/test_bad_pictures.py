"""Pictures that cannot be used: found, counted, listed and skipped, and the others train as they would."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import yaml
from picture_files import folder_batches, write
from torch.utils.data import DataLoader

import training.__main__ as command
from tiny_models import sd
from training.pictures.batches import PictureBatches
from training.pictures.folder import FolderSamples
from training.pictures.layout import parse_layout
from training.pictures.notices import NoticeLog
from training.pictures.skips import SkipList


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures: 02 has no layout, 05 is cut, 07 has five boxes, 08 is not a picture."""
    found = tmp_path / "pictures"
    found.mkdir()
    for number in range(10):
        write(found, f"{number:02}.jpg", 5 if number == 7 else 1)
    (found / "02.json").unlink()
    truncate(found / "05.jpg")
    (found / "08.jpg").write_bytes(b"no picture")
    return found


BAD = {"02.jpg", "05.jpg", "07.jpg", "08.jpg"}


def captions(pictures: PictureBatches, batches: int) -> list[str]:
    return [layout.caption for number in range(batches) for layout in pictures[number].layouts]


def test_the_next_picture_of_the_order_takes_the_place_of_a_bad_one(folder: Path, tmp_path: Path) -> None:
    skips = SkipList(tmp_path / "run" / "skipped.txt")
    pictures = folder_batches(folder, 16, 2, slots=4, max_bad=0.5, skips=skips)
    found = captions(pictures, 10)  # two epochs

    whole = tmp_path / "whole"
    whole.mkdir()
    for number in range(10):
        write(whole, f"{number:02}.jpg")
    order = captions(folder_batches(whole, 16, 2), 10)
    for epoch in (order[:10], order[10:]):
        following = [*epoch, *epoch]
        expected = [next(name for name in following[rank:] if name not in BAD) for rank in range(10)]
        assert found[:10] == expected
        found = found[10:]
    assert {pictures.samples.name(index) for index in pictures.skipped} == BAD


def test_a_cut_file_is_found_when_its_pixels_are_read(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    skips = SkipList(tmp_path / "run" / "skipped.txt")
    pictures = folder_batches(folder, 16, 2, slots=4, max_bad=0.5, skips=skips)
    assert {pictures.samples.name(index) for index in pictures.skipped} == BAD - {"05.jpg"}
    skips.extend(pictures.skipped_places())
    with caplog.at_level(logging.WARNING):
        captions(pictures, 10)
    assert [Path(name).name for name in skips.names()] == ["02.jpg", "07.jpg", "08.jpg", "05.jpg"]
    (message,) = caplog.messages
    assert "05.jpg cannot be read" in message
    assert "It is skipped, as are 4 in all" in message
    lines = skips.path.read_text().splitlines()
    assert "02.jpg has no layout" in lines[0]
    assert "07.json has 5 boxes, but the adapter has 4 slots." in lines[1]
    skips.extend(pictures.skipped_places())
    assert skips.path.read_text().splitlines() == lines  # each once


@pytest.mark.slow
def test_data_loader_processes_skip_and_list_alike(folder: Path, tmp_path: Path) -> None:
    skips = SkipList(tmp_path / "skipped.txt")
    pictures = folder_batches(folder, 16, 2, slots=4, max_bad=0.5, skips=skips)
    loader = DataLoader(
        pictures, batch_size=None, sampler=range(10), num_workers=2, multiprocessing_context="fork"
    )
    found = [layout.caption for batch in loader for layout in batch.layouts]
    assert [Path(name).name for name in skips.names()] == ["05.jpg"]
    assert found == captions(folder_batches(folder, 16, 2, slots=4, max_bad=0.5), 10)


def test_too_many_bad_pictures_are_an_error_that_names_some(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^3 of 10 pictures cannot be used, more than folder\.max_bad, 20%\."
    ) as e:
        folder_batches(folder, 16, 2, slots=4, max_bad=0.2)
    assert "02.jpg has no layout" in str(e.value)
    assert "\n" not in str(e.value)
    pictures = folder_batches(folder, 16, 2, slots=4, max_bad=0.3)
    with pytest.raises(ValueError, match=r"^4 of 10 pictures cannot be used.*And 1 more\."):
        captions(pictures, 10)


def test_sample_sheets_show_pictures_that_can_be_used(folder: Path) -> None:
    pictures = folder_batches(folder, 16, 2, slots=4, max_bad=0.5)
    names = [layout.caption for layout in pictures.central_layouts(4, 16)]
    assert names == ["00.jpg", "01.jpg", "03.jpg", "04.jpg"]


def test_the_check_decodes_all_and_reports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["adapter", "--check", "--config", "sd15", f"folder.path={folder}", "adapter.shape.slots=4"]
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert [name in line for name, line in zip(sorted(BAD), lines, strict=False)] == [True, True, False, True]
    assert "07.json has 5 boxes" in lines[2]
    assert lines[-1] == "6 of 10 pictures can be used."
    for name in BAD:
        (folder / name).unlink()
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 0
    assert capsys.readouterr().out == "6 of 6 pictures can be used.\n"


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_a_run_on_200_pictures_with_10_bad_ones_ends_with_their_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five are found at the start and five, which are cut, during the run of one epoch."""
    monkeypatch.setattr("training.adapter_stage.SHEET_STEPS", 1)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    bad = []
    for number in range(200):
        path = write(pictures, f"{number:03}.png")
        if number % 40 == 7:
            path.with_suffix(".json").write_text("{}")
            bad.append(str(path))
        if number % 40 == 8:
            truncate(path)
            bad.append(str(path))
    sd(tmp_path / "words").save_pretrained(tmp_path / "base")
    shape = {"blocks": ["mid_block"], "transformer_blocks": 1, "width": 8, "heads": 1, "resampler_layers": 1}
    config = {
        "output": str(tmp_path / "run"),
        "base": str(tmp_path / "base"),
        "folder": {"path": str(pictures), "size": 64},
        "adapter": {
            "batch_size": 20,
            "samples": 1,
            "shape": {**shape, "queries": 1, "frequencies": 2, "position_width": 4},
            "loop": {"steps": 10},
        },
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    command.main(["adapter", "--config", str(tmp_path / "own.yaml")])
    skips = SkipList(tmp_path / "run" / "adapter" / "skipped_pictures.txt")
    assert sorted(skips.names()) == bad
    assert capsys.readouterr().out.endswith(f"Skipped pictures: 10 of 200, see {skips.path}.\n")


def test_a_layout_in_another_encoding_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"^a\.json is not UTF-8 text\. Save it again as UTF-8\.$"):
        parse_layout(b"\xff\xfe{", "a.json", "a.png", 100, 100, NoticeLog())


def test_the_advice_on_units_does_not_speak_of_a_node() -> None:
    layout = b'{"annotations": [{"box": [500, 500, 100, 100], "caption": "it"}]}'
    with pytest.raises(ValueError, match=r'add "units": "thousandths" to the layout\.$'):
        parse_layout(layout, "a.json", "a.png", 128, 128, NoticeLog())


def test_what_a_layout_has_that_is_not_read_is_named_with_its_file(caplog: pytest.LogCaptureFixture) -> None:
    box = {"x": 0, "y": 0, "w": 0.5, "h": 0.5, "caption": "a cup", "strenght": 2}
    parse_layout(json.dumps({"boxes": [box]}).encode(), "photos/7.json", "7.jpg", 64, 64, NoticeLog())
    (message,) = caplog.messages
    assert message.startswith("photos/7.json: Keys that are not read")
    assert '"strenght" of box 1' in message


def test_a_misspelt_size_is_named_although_the_size_of_the_picture_is_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layout = {"hieght": 64, "annotations": [{"box": [0, 0, 32, 32], "caption": "a cup"}]}
    parse_layout(json.dumps(layout).encode(), "7.json", "7.jpg", 64, 64, NoticeLog())
    assert '"hieght" (did you mean "height"?)' in caplog.text
    layout = {"width": 128, "hieght": 128, "boxes": []}
    with pytest.raises(ValueError, match=r'another shape.*"hieght" \(did you mean "height"\?\)\.$'):
        parse_layout(json.dumps(layout).encode(), "7.json", "7.jpg", 64, 64, NoticeLog())


def test_the_notices_of_many_files_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(13):
        path = write(tmp_path, f"{number:02}.png").with_suffix(".json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "Width": 48, "weight": 2}))
    FolderSamples(tmp_path)
    assert len(caplog.messages) == 11
    assert all("weight" in message and '"Width"' in message for message in caplog.messages[:10])
    assert caplog.messages[10] == "There are notices about 3 further files."
    caplog.clear()
    FolderSamples(tmp_path)  # from the index
    assert caplog.messages == []
