"""The builder: descriptions over HTTP with faults, resuming after a kill, and the drawn world."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import COUNT, SIZE, Serve, builder, drafts
from folders import contents
from loopback import TRICKLE, Answer, VisionServer, completion, of_json
from PIL import Image

from evaluation.__main__ import main
from evaluation.benchmark import read_benchmark
from evaluation.build.boxes import crop_box
from evaluation.build.builder import CocoBuilder
from evaluation.vision_language import ATTEMPTS, AnswerError, EmptyAnswerError, Endpoint
from ifadapter_core.layout import Box
from shapes.descriptions import read_description
from shapes.drawing import draw
from shapes.models.config import load_shapes_config
from shapes.sampler import sample_scene

ROOT = Path(__file__).resolve().parents[3]


def test_every_crop_and_picture_is_described(coco: Path, tmp_path: Path, serve: Serve) -> None:
    server = serve()
    benchmark = builder(coco, tmp_path, server).build(drafts(coco))
    assert len(server.requests) == COUNT * 4
    assert len(benchmark.entries) == COUNT
    texts = [
        text
        for entry in benchmark.entries
        for text in (entry.layout.caption, *entry.layout.local_descriptions)
    ]
    assert len(set(texts)) == COUNT * 4  # each text belongs to its own picture
    # One line, without quotation marks.
    assert all(text.startswith("a thing like ") and text[-1].isdigit() for text in texts)
    assert {(entry.layout.width, entry.layout.height) for entry in benchmark.entries} == {(SIZE, SIZE)}
    prompts = [content["messages"][0]["content"][1]["text"] for _, content in server.requests]
    assert sum("kite" in prompt for prompt in prompts) == COUNT * 3
    assert all(
        content["model"] == "tiny-vl" and content["temperature"] == 0 for _, content in server.requests
    )
    assert benchmark.source["model"] == "tiny-vl"
    assert "prompts" in benchmark.source


def test_real_pictures_are_written_beside_the_layouts(coco: Path, tmp_path: Path, serve: Serve) -> None:
    for entry in builder(coco, tmp_path, serve()).build(drafts(coco)).entries:
        real = Image.open(tmp_path / "real" / f"{entry.name}.png")
        square = (
            Image.open(coco / "images" / f"{entry.name}.png")
            .crop((10, 0, 70, 60))
            .resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        )
        assert (np.asarray(real) == np.asarray(square)).all()


def test_building_is_deterministic(coco: Path, tmp_path: Path, serve: Serve) -> None:
    builder(coco, tmp_path / "one", serve()).build(drafts(coco))
    builder(coco, tmp_path / "two", serve(), requests=4).build(drafts(coco))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


FAULTS = [
    "hang",
    "break",
    Answer(b"<html>", 500),
    Answer(b"not json"),
    of_json({"choices": []}),
    of_json({"error": "busy"}, 429),
]
TRANSIENT = [*FAULTS[:5], of_json([]), *FAULTS[5:], completion(""), completion(None), TRICKLE]


def test_transient_faults_change_nothing(coco: Path, tmp_path: Path, serve: Serve) -> None:
    builder(coco, tmp_path / "faultless", serve()).build(drafts(coco))
    waits: list[float] = []
    server = serve(faults=[*TRANSIENT[:4], None, *TRANSIENT[4:8], None, *TRANSIENT[8:]])
    builder(coco, tmp_path / "faulty", server, waits).build(drafts(coco))
    assert contents(tmp_path / "faultless") == contents(tmp_path / "faulty")
    assert waits == [1, 2, 4, 8, 1, 2, 4, 8, 1, 2]
    assert len(server.requests) == COUNT * 4 + len(TRANSIENT)


@pytest.mark.parametrize("text", ["", " \n", None])
def test_an_empty_answer_is_an_error_of_its_own(serve: Serve, text: Any) -> None:
    server = serve(faults=[completion(text)] * ATTEMPTS)
    with pytest.raises(EmptyAnswerError, match="the last error: an empty answer"):
        Endpoint(server.url, "tiny-vl", wait=[].append).ask(Image.new("RGB", (4, 4)), "What is this?")


@pytest.mark.parametrize(
    "fault",
    [*FAULTS, TRICKLE],
    ids=["time-out", "broken", "500", "garbage", "no choices", "429", "trickle"],
)
def test_a_permanent_fault_is_an_error_and_the_next_run_resumes(
    coco: Path, tmp_path: Path, serve: Serve, fault: Any
) -> None:
    first = serve(faults=[None] * 5 + [fault] * ATTEMPTS)
    with pytest.raises(
        AnswerError, match=rf"gave no answer in {ATTEMPTS} attempts; the last error: .*to resume"
    ):
        builder(coco, tmp_path, first).build(drafts(coco))
    kept = len(list((tmp_path / "layouts").iterdir()))
    assert 1 <= kept < COUNT
    assert not (tmp_path / "manifest.json").exists()
    second = serve()
    builder(coco, tmp_path, second).build(drafts(coco))
    assert len(second.requests) == (COUNT - kept) * 4


def test_a_refused_request_is_not_retried(serve: Serve) -> None:
    server = serve(faults=[of_json({"error": "no model tiny-vl"}, 404)])
    with pytest.raises(
        AnswerError, match=r"refused the request for the model tiny-vl \(404\).*no model tiny-vl"
    ):
        Endpoint(server.url, "tiny-vl").ask(Image.new("RGB", (4, 4)), "What is this?")
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_killed_builder_resumes_to_the_same_files(coco: Path, tmp_path: Path, serve: Serve) -> None:
    def command(server: VisionServer, folder: str) -> list[str]:
        given = [
            "--annotations",
            str(coco / "instances.json"),
            "--images",
            str(coco / "images"),
            "--model",
            "tiny-vl",
        ]
        sizes = ["--count", str(COUNT), "--size", str(SIZE), "--requests", "1"]
        return [
            sys.executable,
            "-m",
            "evaluation",
            "build",
            str(tmp_path / folder),
            *given,
            *sizes,
            "--endpoint",
            server.url,
        ]

    blocking = serve(block_at=10)  # the third picture
    process = subprocess.Popen(command(blocking, "killed"), cwd=ROOT, stderr=subprocess.PIPE)
    assert blocking.blocked.wait(timeout=120)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(list((tmp_path / "killed" / "layouts").iterdir())) == 2
    resumed = serve()
    subprocess.run(command(resumed, "killed"), cwd=ROOT, check=True, capture_output=True)
    assert len(resumed.requests) == (COUNT - 2) * 4
    assert main(command(serve(), "whole")[3:]) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_other_settings_and_wrong_pictures_are_refused(coco: Path, tmp_path: Path, serve: Serve) -> None:
    server = serve()
    builder(coco, tmp_path / "a", server).build(drafts(coco))
    with pytest.raises(ValueError, match=r"layouts made with other settings: .*seed was 0, is 1"):
        CocoBuilder(
            tmp_path / "a", coco / "images", SIZE, Endpoint(server.url, "tiny-vl"), {"seed": 1}
        ).build(drafts(coco))
    with pytest.raises(ValueError, match=r"4 of 4 pictures are missing in .*Give the folder with all"):
        CocoBuilder(tmp_path / "b", tmp_path, SIZE, Endpoint(server.url, "tiny-vl"), {}).build(drafts(coco))
    (tmp_path / "images").mkdir()
    for draft in drafts(coco):
        Image.new("RGB", (60, 80)).save(tmp_path / "images" / draft.file_name)
    with pytest.raises(ValueError, match=r"has \(60, 80\) pixels, its annotation says \(80, 60\)"):
        CocoBuilder(tmp_path / "c", tmp_path / "images", SIZE, Endpoint(server.url, "tiny-vl"), {}).build(
            drafts(coco)
        )


def test_a_crop_is_rounded_outwards() -> None:
    picture = Image.new("RGB", (10, 20))
    assert crop_box(picture, Box(0.0, 0.0, 1.0, 1.0)).size == (10, 20)
    # 2.5 .. 5.5 and 10.4 .. 11.6 pixels
    assert crop_box(picture, Box(0.25, 0.52, 0.55, 0.58)).size == (4, 2)


def test_the_drawn_world_is_built_as_a_benchmark(tmp_path: Path) -> None:
    assert main(["build", "--world", "shapes", "--count", "5", str(tmp_path)]) == 0
    benchmark = read_benchmark(tmp_path)
    world = load_shapes_config().shapes.world
    for index, entry in enumerate(benchmark.entries):
        drawn = sample_scene(world, index)
        assert entry.name == f"{index:05d}"
        assert entry.layout == drawn.layout
        assert [read_description(text) for text in entry.layout.local_descriptions] == [
            figure.attributes for figure in drawn.figures
        ]
        assert (np.asarray(Image.open(tmp_path / "real" / f"{entry.name}.png")) == draw(drawn)).all()


FROM_COCO = ["--annotations", "a", "--images", "b", "--model", "c"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "A benchmark from COCO needs --annotations, --images, --model"),
        (
            ["--world", "shapes", "--images", "x"],
            "--images cannot be used: the layouts are of the drawn world",
        ),
        (["--world", "shapes", "--size", "512", "--seed", "3"], "--size, --seed cannot be used"),
        (["--world", "sdxl"], "sdxl has no drawn world"),
        (["--world", "shapes", "--count", "0"], "--count is 0"),
        (
            ["--annotations", "a", "--images", "b", "--model", "c", "--size", "1000"],
            "--size is 1000; expected a multiple of 64",
        ),
        (
            [*FROM_COCO, "--endpoint", "http://x/v1", "--requests", "0"],
            "--requests is 0; expected at least 1",
        ),
        ([*FROM_COCO, "--requests", "4"], "--requests cannot be used: a model without --endpoint"),
        (
            [*FROM_COCO, "--endpoint", "http://x/v1", "--device", "cuda"],
            "--device cannot be used: the server",
        ),
    ],
)
def test_wrong_options_are_explained(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err
