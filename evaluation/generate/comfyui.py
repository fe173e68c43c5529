"""A running ComfyUI as a source of pictures, through its HTTP API."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import httpx
from PIL import Image

from ifadapter_core.layout import Layout

from .generator import PictureError, SourceLostError
from .workflow import Graph, Workflow, WorkflowError

POLL_S = 0.5
PICTURE_TIMEOUT_S = 1800.0  # from being queued to the picture
REQUEST_TIMEOUT_S = 30.0
ATTEMPTS = 6  # of every request, before the server is given up
FIRST_WAIT_S = 1.0  # before the second attempt; twice as long before each further one

Wait = Callable[[float], None]


class ComfyUI:
    """One server. address: ``host:port`` or a URL. wait: how seconds pass.

    The state of a prompt is asked for and not listened to: a connection that breaks then loses nothing.
    """

    def __init__(
        self, address: str, workflow: Workflow, timeout_s: float = PICTURE_TIMEOUT_S, wait: Wait = time.sleep
    ) -> None:
        self.name = (address if "://" in address else f"http://{address}").rstrip("/")
        self._workflow = workflow
        self._timeout_s = timeout_s
        self._wait = wait
        self._client = httpx.Client(base_url=self.name, timeout=REQUEST_TIMEOUT_S)

    def paint(self, layout: Layout, seed: int) -> Image.Image:
        """Raises WorkflowError when the server refuses the workflow: it lacks a node or a model."""
        deadline = time.monotonic() + self._timeout_s
        prompt = self._queue(self._workflow.fill(layout, seed))
        while (entry := self._history(prompt)) is None:
            if time.monotonic() > deadline:
                raise SourceLostError(
                    f"{self.name} did not finish a picture in {self._timeout_s:.0f} s. Look at its log, or raise --timeout."
                )
            if not self._knows(prompt) and self._history(prompt) is None:
                raise PictureError(f"{self.name} lost a picture: it was restarted, or its queue was cleared.")
            self._wait(POLL_S)
        return self._picture(entry)

    def _queue(self, graph: Graph) -> str:
        answer = self._ask("POST", "/prompt", json={"prompt": graph})
        if answer.status_code == 400:
            raise WorkflowError(f"{self.name} refuses the workflow: {_reasons(answer)}")
        content = self._json(answer)
        if content.get("node_errors"):  # it would run the outputs that are in order, and leave out the others
            raise WorkflowError(f"{self.name} refuses a part of the workflow: {_reasons(answer)}")
        try:
            return str(content["prompt_id"])
        except (KeyError, TypeError) as error:
            raise SourceLostError(
                f"{self.name} is no ComfyUI: it answered {answer.text[:200]!r} to a prompt."
            ) from error

    def _history(self, prompt: str) -> dict[str, Any] | None:
        entry: dict[str, Any] | None = self._json(self._ask("GET", f"/history/{prompt}")).get(prompt)
        return entry

    def _knows(self, prompt: str) -> bool:
        """Whether a prompt waits or runs."""
        queue = self._json(self._ask("GET", "/queue"))
        return any(
            item[1] == prompt for part in ("queue_running", "queue_pending") for item in queue.get(part, [])
        )

    def _picture(self, entry: dict[str, Any]) -> Image.Image:
        """The one picture of a history entry."""
        status = entry.get("status") or {}
        if status.get("status_str") != "success":
            raise PictureError(f"{self.name} could not make a picture: {_error_of(status)}")
        images = entry.get("outputs", {}).get(self._workflow.slots["image"].node, {}).get("images", [])
        if len(images) != 1:
            raise PictureError(
                f"{self.name} made {len(images)} pictures where one was expected. Set the batch size to 1."
            )
        answer = self._ask(
            "GET", "/view", params={key: images[0][key] for key in ("filename", "subfolder", "type")}
        )
        try:
            picture = Image.open(io.BytesIO(answer.content))
            picture.load()
        except (OSError, SyntaxError) as error:
            raise PictureError(f"{self.name} sent a picture that cannot be read ({error}).") from error
        return picture

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.status_code != 200 or not isinstance(content, dict):
            raise SourceLostError(
                f"{self.name} answered {answer.status_code} {answer.text[:200]!r} to {answer.request.url.path}."
            )
        return content

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Time-outs, lost connections and 5xx are tried again. Raises SourceLostError when that does not help."""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(FIRST_WAIT_S * 2 ** (attempt - 1))
            try:
                answer = self._client.request(method, path, **options)
                if answer.status_code < 500:
                    return answer
                problem = f"status {answer.status_code}"
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
        raise SourceLostError(f"{self.name} does not answer ({problem}).")


def _reasons(answer: httpx.Response) -> str:
    """What a 400 says of the nodes, or else its text."""
    try:
        content = answer.json()
        of_nodes = [
            f"{node['class_type']}: {error['message']} ({error['details']})"
            for node in dict(content["node_errors"]).values()
            for error in node["errors"]
        ]
        return "; ".join(of_nodes) or f"{content['error']['message']} ({content['error']['details']})"
    except (ValueError, LookupError, TypeError, AttributeError):
        return answer.text[:500]


def _error_of(status: dict[str, Any]) -> str:
    """The message of a failed run."""
    for kind, data in status.get("messages", []):
        if kind == "execution_error":
            return f"{data.get('node_type')}: {str(data.get('exception_message')).strip()}"
        if kind == "execution_interrupted":
            return "it was interrupted"
    return str(status)[:300]
