"""Local HTTP test servers with faults on demand: a vision-language endpoint and a ComfyUI."""

from __future__ import annotations

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

from PIL import Image


class Answer(NamedTuple):
    """An HTTP response. headers: names and values."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


TRICKLE = Answer(b"", -1)  # a response that never ends


def of_json(content: Any, status: int = 200) -> Answer:
    """A response with a JSON body."""
    return Answer(json.dumps(content).encode(), status)


class Loopback(ABC):
    """A server in a thread of its own.

    ``respond`` returns an Answer, or None to drop the connection.

    headers: of the last request.
    """

    def __init__(self) -> None:
        outer = self
        self.headers: dict[str, str] = {}
        self.stopping = Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.headers = dict(self.headers)
                self._answer(None)

            def do_POST(self) -> None:
                outer.headers = dict(self.headers)
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, content: Any) -> None:
                answer = outer.respond(self.command, self.path, content)
                if answer is None:
                    self.close_connection = True
                    return
                try:
                    if answer == TRICKLE:
                        self._trickle()
                    self.send_response(answer.status)
                    for name, value in answer.headers:
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:  # the client closed the connection
                    pass

            def _trickle(self) -> None:
                """Send an endless body, one byte at a time."""
                self.send_response(200)
                self.end_headers()
                while not outer.stopping.wait(0.02):
                    self.wfile.write(b" ")
                    self.wfile.flush()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @abstractmethod
    def respond(self, method: str, path: str, content: Any) -> Answer | None: ...

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


class VisionServer(Loopback):
    """An OpenAI-compatible endpoint. Its answers depend on the picture and the question only.

    faults: "hang", "break", an Answer or None, for the first requests in order.
    block_at: number of a request that is never answered; ``blocked`` is set when it arrives.
    answer: content of a request -> text.
    """

    def __init__(
        self,
        faults: list[Any] | None = None,
        block_at: int | None = None,
        answer: Callable[[Any], str] | None = None,
    ) -> None:
        self.answer = answer or words
        self.faults = deque(faults or [])
        self.block_at = block_at
        self.blocked = Event()
        self.requests: list[Any] = []
        self._lock = Lock()
        super().__init__()
        self.url = f"http://{self.address}/v1"

    def respond(self, method: str, path: str, content: Any) -> Answer | None:
        with self._lock:
            self.requests.append((path, content))
            number, fault = len(self.requests), self.faults.popleft() if self.faults else None
        if number == self.block_at:
            self.blocked.set()
            fault = "hang"
        if fault == "hang":
            self.stopping.wait()
        if fault in ("hang", "break"):
            return None
        return fault or completion(self.answer(content))


def completion(text: Any) -> Answer:
    """A chat completion with this text."""
    return of_json({"choices": [{"message": {"role": "assistant", "content": text}}]})


def words(content: Any) -> str:
    """An answer that identifies the picture and the length of the question."""
    image, text = content["messages"][0]["content"]
    picture = hashlib.sha256(image["image_url"]["url"].encode()).hexdigest()[:8]
    return f' "a thing\nlike {picture}, {len(text["text"])}" '


class FakeComfyUI(Loopback):
    """A ComfyUI that paints a plain colour, determined by layout and seed.

    dies_at: number of the prompt at which the server dies.
    tamper: (number, history entry) -> another entry, or an Answer to send instead.
    block_at: number of a prompt that is never finished; ``blocked`` is set when it arrives.
    ready_after: number of history queries until a picture is finished.
    """

    def __init__(
        self,
        dies_at: int | None = None,
        tamper: Callable[[int, dict[str, Any]], Any] | None = None,
        block_at: int | None = None,
        ready_after: int = 2,
    ) -> None:
        self.prompts: list[dict[str, Any]] = []
        self.asked: dict[str, int] = {}
        self.dead = False
        self.blocked = Event()
        self._dies_at, self._block_at = dies_at, block_at
        self._tamper, self._ready_after = tamper, ready_after
        self._lock = Lock()
        super().__init__()

    def respond(self, method: str, path: str, content: Any) -> Answer | None:
        if self.dead:
            return None
        if path == "/prompt":
            with self._lock:
                self.prompts.append(content["prompt"])
                number = len(self.prompts)
            if number == self._dies_at:
                self.dead = True
            if number == self._block_at:
                self.blocked.set()
            return of_json({"prompt_id": f"id{number}", "number": number, "node_errors": {}})
        if path.startswith("/history/"):
            return self._history(path.removeprefix("/history/"))
        if path == "/queue":
            return of_json(
                {
                    "queue_running": [[0, f"id{n}", {}] for n in range(1, len(self.prompts) + 1)],
                    "queue_pending": [],
                }
            )
        if path.startswith("/view"):
            return Answer(self._paint(self.prompts[int(path.split("filename=")[1].split("&")[0]) - 1]))
        return Answer(b"", 404)

    def _history(self, prompt: str) -> Answer:
        number = int(prompt[2:])
        self.asked[prompt] = self.asked.get(prompt, 0) + 1
        if self.asked[prompt] < self._ready_after or number == self._block_at:
            return of_json({})
        output = next(
            node for node, each in self.prompts[number - 1].items() if each["class_type"] == "SaveImage"
        )
        images = [{"filename": str(number), "subfolder": "", "type": "output"}]
        entry: Any = {
            "status": {"status_str": "success", "completed": True, "messages": []},
            "outputs": {output: {"images": images}},
        }
        if self._tamper:
            entry = self._tamper(number, entry)
        return entry if isinstance(entry, Answer) else of_json({} if entry is None else {prompt: entry})

    def _paint(self, graph: dict[str, Any]) -> bytes:
        given = next(each["inputs"] for each in graph.values() if each["class_type"] == "IFAdapterLayout")
        seed = next(each["inputs"]["seed"] for each in graph.values() if each["class_type"] == "KSampler")
        colour = tuple(hashlib.sha256(f"{given['layout']} {seed}".encode()).digest()[:3])
        out = io.BytesIO()
        Image.new("RGB", (given["width"], given["height"]), colour).save(out, "PNG")
        return out.getvalue()
