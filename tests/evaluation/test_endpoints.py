"""One model on several servers: each takes its share, and the others take over for one that is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from loopback import Answer, VisionServer, of_json
from PIL import Image

from evaluation.commands.build import add_arguments, settings_of
from evaluation.endpoints import Endpoints
from evaluation.vision_language import AnswerError, Endpoint, RefusedPictureError

BUSY = Answer(b"", 503)
PICTURE = Image.new("RGB", (8, 8))
Serve = Callable[..., VisionServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[VisionServer] = []

    def start(**options: Any) -> VisionServer:
        running.append(VisionServer(**options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def model(*servers: VisionServer) -> Endpoints:
    return Endpoints([Endpoint(server.url, "tiny-vl", 20, wait=[].append) for server in servers])


def test_questions_at_the_same_time_go_to_different_servers(serve: Serve) -> None:
    together = Barrier(3, timeout=30)  # no answer before each server has a question

    def answer(_: Any) -> str:
        together.wait()
        return "a kite"

    servers = [serve(answer=answer) for _ in range(3)]
    several = model(*servers)
    threads = [Thread(target=several.ask, args=(PICTURE, "What?"), daemon=True) for _ in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [len(server.requests) for server in servers] == [1, 1, 1]


def test_a_lost_server_gets_no_more_questions(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    lost, other = serve(faults=[BUSY] * 100), serve(answer=lambda _: "a kite")
    several = model(lost, other)
    assert [several.ask(PICTURE, "What?") for _ in range(3)] == ["a kite"] * 3
    assert len(lost.requests) == 6
    assert len(other.requests) == 3
    assert caplog.text.count("A server is given up.") == 1


def test_without_a_server_left_each_question_is_an_error(serve: Serve) -> None:
    servers = [serve(faults=[BUSY] * 100) for _ in range(2)]
    several = model(*servers)
    for _ in range(2):
        with pytest.raises(AnswerError, match=r"gave no answer in 6 attempts.*status 503"):
            several.ask(PICTURE, "What?")
    assert [len(server.requests) for server in servers] == [6, 6]


def test_a_refused_picture_loses_no_server(serve: Serve) -> None:
    server = serve(faults=[of_json({"error": "too small"}, 400)], answer=lambda _: "a kite")
    several = model(server)
    with pytest.raises(RefusedPictureError, match="too small"):
        several.ask(PICTURE, "What?")
    assert several.ask(PICTURE, "What?") == "a kite"


def test_build_takes_several_servers(tmp_path: Path) -> None:
    from argparse import ArgumentParser

    parser = ArgumentParser()
    add_arguments(parser)
    given = ["--annotations", "a.json", "--images", "b", "--model", "c"]
    servers = ["--endpoint", "http://one:8000/v1", "--endpoint", "http://two:8000/v1"]
    source = settings_of(parser.parse_args([str(tmp_path), *given, *servers])).source
    assert getattr(source, "endpoints") == ("http://one:8000/v1", "http://two:8000/v1")  # noqa: B009
