"""HTTP servers of the tests' own on this machine, with faults on demand."""

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
    body: bytes
    status: int = 200


TRICKLE = Answer(b"", -1)  # never comes to its end


def of_json(content: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(content).encode(), status)


class Loopback(ABC):
    """A server whose ``respond(method, path, content)`` gives an Answer, or None to break the connection off."""

    def __init__(self) -> None:
        outer = self
        self.stopping = Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                self._answer(None)

            def do_POST(self) -> None:  # noqa: N802
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
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:  # the client went away
                    pass

            def _trickle(self) -> None:
                """A body that does not end, a byte at a time."""
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
    """An OpenAI-compatible one. It says what depends on the picture and the question alone, after the faults, one for each request.

    faults: "hang", "break", or an Answer. block_at: the number of the request that is never answered; ``blocked`` says that it came.
    """

    def __init__(self, faults: list[Any] | None = None, block_at: int | None = None) -> None:
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
        return fault or completion(words(content))


def completion(text: Any) -> Answer:
    return of_json({"choices": [{"message": {"role": "assistant", "content": text}}]})


def words(content: Any) -> str:
    """What the server says: the last words of the question and a name for the picture."""
    image, text = content["messages"][0]["content"]
    return f' "a thing\nlike {hashlib.sha256(image["image_url"]["url"].encode()).hexdigest()[:8]}, {len(text["text"])}" '


class FakeComfyUI(Loopback):
    """Paints one colour for each layout and seed. dies_at: the prompt that it dies of. block_at: one that it never finishes;
    ``blocked`` says that it came. ready_after: how often it is asked for a picture before the picture is there.

    tamper(number, entry) changes the history entry of a prompt, or gives an Answer in its place.
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
        self._dies_at, self._block_at, self._tamper, self._ready_after = (
            dies_at,
            block_at,
            tamper,
            ready_after,
        )
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
