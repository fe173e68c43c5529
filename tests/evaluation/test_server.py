"""The HTTP client: responses are bounded, and no message shows a key, a password or an escape sequence."""

from __future__ import annotations

import base64
import gzip
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import TRICKLE, Answer, Loopback, VisionServer, completion, of_json
from PIL import Image
from scenes import layout

from evaluation.__main__ import main
from evaluation.benchmark import write_benchmark
from evaluation.generate.comfyui import ComfyUI
from evaluation.generate.generator import PictureError, SourceLostError
from evaluation.generate.workflow import WorkflowError, read_workflow
from evaluation.server import MAX_BODY_BYTES, Server, ServerError, without_userinfo
from evaluation.vision_language import ATTEMPTS, KEY_VARIABLE, AnswerError, Endpoint

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflows" / "api" / "place_things_with_boxes.json"
PICTURE = Image.new("RGB", (4, 4))
BOMB = Answer(gzip.compress(bytes(20 * 2**20)), headers=(("Content-Encoding", "gzip"),))
KEY, PASSWORD = "sk-0123456789abcdef", "pass word@1"
ESCAPES = "\x1b[2J\x1b]0;title\x07\u202e"


class Echo(Loopback):
    """Always gives the same answer; by default the request's own authorization."""

    def __init__(self, answer: Answer | None = None, status: int = 400) -> None:
        self.answer, self.status = answer, status
        super().__init__()

    def respond(self, method: str, path: str, content: Any) -> Answer:
        if self.answer is not None:
            return self.answer
        return of_json({"error": f"bad key: {self.headers.get('Authorization')}"}, self.status)


Serve = Callable[..., Echo]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[Echo] = []

    def start(*arguments: Any, **options: Any) -> Echo:
        running.append(Echo(*arguments, **options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def shows_no_secret(text: str) -> bool:
    token = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    return not any(secret in text for secret in (KEY, PASSWORD, "pass%20word", token, "me:"))


# Size


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(b" " * (MAX_BODY_BYTES + 1)), "a response of more than 1 MiB"),
        (BOMB, "encoding gzip"),
        (TRICKLE, "took longer than 0.2 s"),
    ],
    ids=["too long", "gzip bomb", "trickle"],
)
def test_responses_are_bounded(serve: Serve, answer: Answer, problem: str) -> None:
    address = serve(answer).address
    with pytest.raises(ServerError, match=problem):
        Server(f"http://{address}", 0.2).request("GET", "/")
    with pytest.raises(
        AnswerError, match=f"gave no answer in {ATTEMPTS} attempts; the last error: .*{problem}"
    ):
        Endpoint(f"http://{address}/v1", "tiny-vl", 0.2, wait=[].append).ask(PICTURE, "What?")


@pytest.mark.parametrize("path", ["/prompt", "/history/", "/queue", "/view"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(b" " * (MAX_BODY_BYTES + 1)),
        BOMB,
        Answer(b"[" * 200_000),
        of_json(["another", "form"]),
        of_json({"prompt_id": "../../view", "id1": 7, "queue_running": 3, "queue_pending": [4]}),
        of_json({"id1": {"outputs": [1]}, "queue_running": [[]]}),
        of_json({"id1": {"status": {"status_str": "error", "messages": 3}}}),
        of_json({"id1": {"status": {"status_str": "success"}, "outputs": {"15": {"images": [3]}}}}),
    ],
    ids=["too long", "gzip bomb", "brackets", "list", "values", "outputs", "status", "images"],
)
def test_no_response_of_a_comfyui_is_a_traceback(path: str, answer: Answer) -> None:
    """The server fails at one request, and is a ComfyUI before that."""

    class Broken(Loopback):
        def respond(self, method: str, asked: str, content: Any) -> Answer:
            if asked.startswith(path):
                return answer
            if asked == "/prompt":
                return of_json({"prompt_id": "id1"})
            images = [{"filename": "a.png", "subfolder": "", "type": "output"}]
            entry = {"status": {"status_str": "success"}, "outputs": {"15": {"images": images}}}
            return of_json({} if path == "/queue" else {"id1": entry})

    server = Broken()
    comfyui = ComfyUI(server.address, read_workflow(WORKFLOW), 5, wait=[].append)
    with pytest.raises((PictureError, SourceLostError)) as caught:
        comfyui.paint(layout(((0, 0, 40, 100), "cat")), 0)
    server.stop()
    assert len(str(caught.value)) < 1000


def test_deeply_nested_json_of_an_endpoint_is_no_completion(serve: Serve) -> None:
    address = serve(Answer(b"[" * 200_000)).address
    with pytest.raises(AnswerError, match=r"expected a completion, got '\[\[\["):
        Endpoint(f"http://{address}/v1", "tiny-vl", wait=[].append).ask(PICTURE, "What?")


# Secrets


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API key as env files give it, with a line end."""
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\r\n")


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("status", [400, 429, 200])
def test_a_server_that_echoes_the_key_does_not_make_us_print_it(
    serve: Serve, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(status=status)
    with caplog.at_level(logging.DEBUG, "root"), pytest.raises(AnswerError) as caught:
        Endpoint(f"http://{server.address}/v1", "tiny-vl", wait=[].append).ask(PICTURE, "What?")
    assert server.headers["Authorization"] == f"Bearer {KEY}"
    assert shows_no_secret(f"{caught.value} {caplog.text}")


@pytest.mark.usefixtures("key")
def test_an_answer_does_not_carry_the_key_into_a_benchmark(serve: Serve) -> None:
    server = serve(completion(f"a kite with {KEY} on it"))
    endpoint = Endpoint(f"http://{server.address}/v1", "tiny-vl")
    assert endpoint.ask(PICTURE, "What?") == "a kite with *** on it"


@pytest.mark.parametrize("character", ["\n", "\r\nX-Evil: 1\r\n", "\t", " ", "\x7f", "\u00e9", "\u2028"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}{character}{KEY}")
    with pytest.raises(ValueError, match=f"{KEY_VARIABLE} holds a space, a line end") as caught:
        Endpoint("http://127.0.0.1:1/v1", "tiny-vl")
    assert shows_no_secret(str(caught.value))


def test_a_password_in_a_url_is_sent_but_never_shown(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()
    with caplog.at_level(logging.DEBUG, "root"):
        url = f"http://me:pass%20word%401@{server.address}"
        with pytest.raises(AnswerError, match=rf"http://{server.address}/v1 refused") as refused:
            Endpoint(f"{url}/v1/", "tiny-vl").ask(PICTURE, "What?")
        assert base64.b64decode(server.headers["Authorization"].split()[1]).decode() == f"me:{PASSWORD}"
        comfyui = ComfyUI(url, read_workflow(WORKFLOW), 5, wait=[].append)
        with pytest.raises(WorkflowError) as rejected:
            comfyui.paint(layout(((0, 0, 40, 100), "cat")), 0)
        server.stop()
        with pytest.raises(SourceLostError) as lost:
            comfyui.paint(layout(((0, 0, 40, 100), "cat")), 0)
    assert shows_no_secret(f"{refused.value} {rejected.value} {lost.value} {comfyui.name} {caplog.text}")


@pytest.mark.parametrize(
    "url", ["ftp://me:secret@host", "http://me:sec/ret@host:1", "http://me:secret@", "me:secret@x"]
)
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="expected http://HOST:PORT") as caught:
        Endpoint(url, "tiny-vl")
    assert "ret" not in str(caught.value)


def test_a_verifier_with_a_wrong_url_is_refused_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_benchmark(tmp_path, {"cat": layout(((0, 0, 50, 50), "a cat"))}, {})
    words = ["score", str(tmp_path), str(tmp_path), str(tmp_path), "--detector", "x"]
    assert main([*words, "--verifier", "model@me:secret@host"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_texts_are_shown_without_the_userinfo_of_urls() -> None:
    assert (
        without_userinfo("--server http://me:p@ss/w@host:1/x --seed 1") == "--server http://host:1/x --seed 1"
    )
    assert without_userinfo("me@example.org, http://host/x") == "me@example.org, http://host/x"


# Escape sequences


def test_control_characters_of_a_server_are_escaped(serve: Serve) -> None:
    server = serve(Answer(ESCAPES.encode(), 404))
    with pytest.raises(AnswerError, match=r"\(404\): '\\x1b\[2J\\x1b\]0;title\\x07\\u202e'"):
        Endpoint(f"http://{server.address}/v1", "tiny-vl").ask(PICTURE, "What?")
    comfyui = ComfyUI(server.address, read_workflow(WORKFLOW), 5)
    with pytest.raises(SourceLostError, match=r"answered 404 '\\x1b\[2J"):
        comfyui.paint(layout(((0, 0, 40, 100), "cat")), 0)
    server.answer = of_json({"error": {"message": ESCAPES, "details": "d"}, "node_errors": {}}, 400)
    with pytest.raises(WorkflowError, match=r"rejects the workflow: \\x1b\[2J"):
        comfyui.paint(layout(((0, 0, 40, 100), "cat")), 0)


def test_lone_surrogates_in_an_answer_are_replaced() -> None:
    server = VisionServer(faults=[completion("a \ud800 kite")])
    assert Endpoint(server.url, "tiny-vl").ask(PICTURE, "What?") == "a ? kite"
    server.stop()
