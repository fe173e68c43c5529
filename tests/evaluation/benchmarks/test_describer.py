"""Layouts beside the pictures of a folder: several servers with faults, resuming, boxes found and given."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import COUNT, TIMEOUT_S, Serve
from folders import contents
from loopback import Answer, of_json, words
from PIL import Image

from evaluation.__main__ import main
from evaluation.build.boxes import FoundBoxes, Source
from evaluation.build.describer import Describer, NoneDescribedError
from evaluation.endpoints import Endpoints
from evaluation.vision_language import ATTEMPTS, AnswerError, Endpoint
from training.pictures.check import undecodable
from training.pictures.folder import FolderSamples

ROOT = Path(__file__).resolve().parents[3]
NAMES = [f"{part}/{number}.jpg" for part in "ab" for number in range(6)]
BUSY = Answer(b"", 503)


def found(content: Any) -> str:
    """Three boxes in thousandths, the second too small; texts that depend on the picture."""
    text = words(content).split()[-2].strip(",")
    boxes = [
        {"bbox_2d": [0, 0, 500, 1000], "label": f"a green wall, {text}"},
        {"bbox_2d": [10, 10, 60, 60], "label": "a small fly"},
        {"bbox_2d": [250, 250, 750, 750], "label": f"a red kite, {text}"},
    ]
    return f"```json\n{json.dumps({'caption': f'a kite {text}', 'boxes': boxes})}\n```"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve pictures of noise in two subfolders, one of them broken."""
    rng = np.random.Generator(np.random.PCG64(0))
    for name in NAMES:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(path)
    broken = tmp_path / "pictures" / NAMES[4]
    broken.write_bytes(broken.read_bytes()[:300])
    return tmp_path / "pictures"


def copy(folder: Path, to: Path) -> Path:
    for name in NAMES:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes((folder / name).read_bytes())
    return to


def describer(folder: Path, *servers: Any, source: Source | None = None, requests: int = 1) -> Describer:
    model = Endpoints(
        [Endpoint(server.url, "tiny-vl", TIMEOUT_S, [].append, jpeg=True) for server in servers]
    )
    return Describer(folder, source or FoundBoxes("bbox_2d"), model, requests * len(servers))


def test_each_picture_gets_a_layout_that_the_trainer_reads(pictures: Path, serve: Serve) -> None:
    server = serve(answer=found)
    summary = describer(pictures, server).run()
    assert summary.startswith(f"{len(NAMES) - 1} of {len(NAMES)} pictures have layouts.\n1 have none: ")
    assert len(server.requests) == len(NAMES) - 1
    samples = FolderSamples(pictures, slots=10)
    assert [samples.name(index) for index in undecodable(samples)] == [NAMES[4]]
    layout = json.loads((pictures / NAMES[0]).with_suffix(".json").read_text())
    assert (layout["width"], layout["height"]) == (80, 60)
    assert [each["box"] for each in layout["annotations"]] == [[0, 0, 40, 60], [20, 15, 40, 30]]
    assert layout["annotations"][1]["caption"].startswith("a red kite, ")
    assert (pictures / "_describe" / "left_out.txt").read_text().startswith(f"{NAMES[4]}\t")
    image = server.requests[0][1]["messages"][0]["content"][0]["image_url"]["url"]
    assert image.startswith("data:image/jpeg;base64,")


def test_dropped_boxes_are_told(pictures: Path, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    describer(pictures, serve(answer=found)).run()
    assert "Notices about 11 layouts, for example a/0.jpg: 1 of 3 boxes are left out: " in caplog.text


def test_files_do_not_depend_on_servers_and_faults(tmp_path: Path, pictures: Path, serve: Serve) -> None:
    other = copy(pictures, tmp_path / "other")
    describer(pictures, serve(answer=found)).run()
    faults = ["hang", "break", BUSY, None, of_json({"choices": []}), None, BUSY]
    three = [serve(answer=found, faults=faults), serve(answer=found), serve(answer=found)]
    describer(other, *three, requests=3).run()
    assert contents(pictures) == contents(other)
    assert sum(len(server.requests) for server in three) >= len(NAMES) - 1


def test_other_servers_take_over_the_pictures_of_a_lost_one(
    tmp_path: Path, pictures: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    other = copy(pictures, tmp_path / "other")
    describer(other, serve(answer=found)).run()
    lost = serve(answer=found, faults=[BUSY] * 1000)
    describer(pictures, lost, serve(answer=found), requests=2).run()
    assert contents(pictures) == contents(other)
    assert caplog.text.count("A server is given up.") == 1


def test_without_a_server_left_it_stops_and_resumes(tmp_path: Path, pictures: Path, serve: Serve) -> None:
    other = copy(pictures, tmp_path / "other")
    describer(other, serve(answer=found)).run()
    dying = [serve(answer=found, faults=[None] * 2 + [BUSY] * 1000) for _ in range(2)]
    with pytest.raises(AnswerError, match=rf"no answer in {ATTEMPTS} attempts.*to resume"):
        describer(pictures, *dying).run()
    kept = len(list(pictures.rglob("*/*.json"))) - 1  # the record's settings
    assert kept == 4
    server = serve(answer=found)
    describer(pictures, server).run()
    assert len(server.requests) == len(NAMES) - 1 - kept
    assert contents(pictures) == contents(other)


@pytest.mark.slow
def test_a_killed_describer_resumes_to_the_same_files(tmp_path: Path, pictures: Path, serve: Serve) -> None:
    other = copy(pictures, tmp_path / "other")
    options = ["--model", "tiny-vl", "--requests", "2", "--endpoint"]
    blocking = serve(answer=found, block_at=6)
    command = [sys.executable, "-m", "evaluation", "describe", str(pictures), *options, blocking.url]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    assert blocking.blocked.wait(timeout=120)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = len(list(pictures.rglob("*/*.json"))) - 1
    assert kept >= 4
    resumed = serve(answer=found)
    assert main(["describe", str(pictures), *options, resumed.url]) == 0
    assert len(resumed.requests) == len(NAMES) - 1 - kept
    assert main(["describe", str(other), *options, serve(answer=found).url]) == 0
    assert contents(pictures) == contents(other)


def test_pictures_without_a_layout_are_listed_and_not_asked_about_again(pictures: Path, serve: Serve) -> None:
    answers = {NAMES[1]: "I cannot help with that.", NAMES[2]: '{"caption": "a wall", "boxes": []}'}
    hashes = {name: _hash(pictures / name) for name in answers}

    def answer(content: Any) -> str:
        return next((answers[name] for name in answers if hashes[name] in words(content)), found(content))

    describer(pictures, serve(answer=answer)).run()
    lines = (pictures / "_describe" / "left_out.txt").read_text().splitlines()
    assert [line.partition("\t")[0] for line in lines] == [NAMES[1], NAMES[2], NAMES[4]]
    assert "I cannot help with that." in lines[0]
    assert "no described thing covers more than 2%" in lines[1]
    again = serve(answer=found)
    describer(pictures, again).run()
    assert again.requests == []
    (pictures / "_describe" / "left_out.txt").unlink()
    describer(pictures, again).run()
    assert len(again.requests) == 2


def _hash(path: Path) -> str:
    """What ``words`` says of a picture."""
    import base64

    from evaluation.files import jpeg_bytes

    url = f"data:image/jpeg;base64,{base64.b64encode(jpeg_bytes(Image.open(path))).decode()}"
    content = [{"image_url": {"url": url}}, {"text": ""}]
    return words({"messages": [{"content": content}]}).split()[-2].strip(",")


def test_a_refused_picture_is_left_out(pictures: Path, serve: Serve) -> None:
    server = serve(answer=found, faults=[None, of_json({"error": "the picture is too small"}, 400)])
    assert describer(pictures, server).run().startswith(f"{len(NAMES) - 2} of {len(NAMES)} ")
    assert "the picture is too small" in (pictures / "_describe" / "left_out.txt").read_text()


def test_a_model_that_describes_nothing_is_given_up(pictures: Path, serve: Serve) -> None:
    server = serve(answer=lambda _: "a picture")
    with pytest.raises(NoneDescribedError, match=r"tiny-vl described none of the first 10 pictures.*a/0.jpg"):
        describer(pictures, server).run()
    assert not list((pictures / "_describe").iterdir())
    describer(pictures, serve(answer=found)).run()


def test_other_settings_are_refused(pictures: Path, serve: Serve) -> None:
    describer(pictures, serve(answer=found)).run()
    with pytest.raises(ValueError, match=r"_describe holds the record of layouts made with other settings"):
        describer(pictures, serve(answer=found), source=FoundBoxes("bbox_2d", crops=True)).run()


def test_crops_describe_each_box(pictures: Path, serve: Serve) -> None:
    def answer(content: Any) -> str:
        question = content["messages"][0]["content"][1]["text"]
        return "a kite from near" if "This is a part of a picture" in question else found(content)

    server = serve(answer=answer)
    describer(pictures, server, source=FoundBoxes("bbox_2d", crops=True)).run(count=2)
    assert len(server.requests) == 2 * 3
    layout = json.loads((pictures / NAMES[0]).with_suffix(".json").read_text())
    assert [each["caption"] for each in layout["annotations"]] == ["a kite from near"] * 2
    assert not (pictures / NAMES[2]).with_suffix(".json").exists()


def test_given_boxes_are_described(coco: Path, tmp_path: Path, serve: Serve) -> None:
    for path in (coco / "images").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (80, 60)).save(tmp_path / "unknown.png")
    server = serve()
    options = ["--model", "tiny-vl", "--endpoint", server.url, "--annotations", str(coco / "instances.json")]
    assert main(["describe", str(tmp_path), *options]) == 0
    assert len(server.requests) == COUNT * 4
    assert not (tmp_path / "unknown.json").exists()
    layout = json.loads((tmp_path / "000000000000.json").read_text())
    assert [each["box"] for each in layout["annotations"]] == [
        [32, 4, 16, 20],
        [22, 4, 15, 20],
        [12, 4, 14, 20],
    ]


def test_pictures_that_would_share_a_layout_are_refused(pictures: Path, serve: Serve) -> None:
    Image.new("RGB", (8, 8)).save(pictures / "a" / "0.png")
    with pytest.raises(ValueError, match=r"a/0.jpg and a/0.png in .* would share a layout"):
        describer(pictures, serve(answer=found)).run()


def test_the_sheet_shows_the_first_layouts(pictures: Path, tmp_path: Path, serve: Serve) -> None:
    server, sheet = serve(answer=found), tmp_path / "sheet.png"
    options = ["--model", "tiny-vl", "--endpoint", server.url, "--count", "3"]
    assert main(["describe", str(pictures), *options, "--sheet", str(sheet)]) == 0
    assert Image.open(sheet).size == (4 * 512 + 3 * 2, 2 * 512 + 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--requests", "0"], "--requests is 0; expected at least 1"),
        (["--count", "-1"], "--count is -1; expected at least 1"),
        (["--crops", "--annotations", "x"], "--crops cannot be used with --annotations"),
        (["--sheet", "pictures/sheet.png"], "--sheet is in pictures"),
        (["--sheet", "sheet.txt"], "--sheet is sheet.txt; expected a .png file."),
        ([], "There is no folder pictures"),
    ],
)
def test_wrong_options_are_explained(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["describe", "pictures", "--model", "m", "--endpoint", "http://127.0.0.1:1/v1", *options]
    assert main(given) == 2
    assert message in capsys.readouterr().err
