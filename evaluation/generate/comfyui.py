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

POLL_S = 0.5  # between two queries of a prompt's state
REQUEST_TIMEOUT_S = 30.0
ATTEMPTS = 6  # per request, before the server is given up
FIRST_WAIT_S = 1.0  # before the second attempt; doubled before each further one

Wait = Callable[[float], None]  # sleeps for a number of seconds


class ComfyUI:
    """One server.

    Polls the state of a prompt instead of listening on the websocket: a broken connection then
    loses nothing.

    address: ``HOST:PORT`` or a URL.
    workflow: filled in for each picture.
    timeout_s: time limit from queueing a prompt to its picture, seconds.
    wait: sleeps for a number of seconds.
    """

    def __init__(self, address: str, workflow: Workflow, timeout_s: float, wait: Wait = time.sleep) -> None:
        self.name = (address if "://" in address else f"http://{address}").rstrip("/")
        self._workflow = workflow
        self._timeout_s = timeout_s
        self._wait = wait
        self._client = httpx.Client(base_url=self.name, timeout=REQUEST_TIMEOUT_S)

    def paint(self, layout: Layout, seed: int) -> Image.Image:
        """Queue the filled workflow, wait for it, and download its picture.

        Also raises WorkflowError if the server rejects the workflow, for example for a missing
        model.
        """
        deadline = time.monotonic() + self._timeout_s
        prompt = self._queue(self._workflow.fill(layout, seed))
        while (entry := self._history(prompt)) is None:
            if time.monotonic() > deadline:
                raise SourceLostError(
                    f"{self.name} did not finish a picture in {self._timeout_s:.0f} s. "
                    "Look at its log, or raise --timeout."
                )
            # The history is read again: the prompt may have finished between the two queries.
            if not self._is_queued(prompt) and self._history(prompt) is None:
                raise PictureError(f"{self.name} lost a picture: it was restarted, or its queue was cleared.")
            self._wait(POLL_S)
        return self._picture(entry)

    def _queue(self, graph: Graph) -> str:
        """Queue a prompt and return its id."""
        response = self._request("POST", "/prompt", json={"prompt": graph})
        if response.status_code == 400:
            raise WorkflowError(f"{self.name} rejects the workflow: {_reasons(response)}")
        content = self._json(response)
        if content.get("node_errors"):  # the server would run the valid outputs and skip the others
            raise WorkflowError(f"{self.name} rejects a part of the workflow: {_reasons(response)}")
        try:
            return str(content["prompt_id"])
        except (KeyError, TypeError) as error:
            raise SourceLostError(
                f"{self.name} is not a ComfyUI: it answered a prompt with {response.text[:200]!r}."
            ) from error

    def _history(self, prompt: str) -> dict[str, Any] | None:
        """The history entry of a finished prompt, or None."""
        entry: dict[str, Any] | None = self._json(self._request("GET", f"/history/{prompt}")).get(prompt)
        return entry

    def _is_queued(self, prompt: str) -> bool:
        """Whether a prompt is pending or running."""
        queue = self._json(self._request("GET", "/queue"))
        return any(
            item[1] == prompt for part in ("queue_running", "queue_pending") for item in queue.get(part, [])
        )

    def _picture(self, entry: dict[str, Any]) -> Image.Image:
        """Download the single picture of a history entry."""
        status = entry.get("status") or {}
        if status.get("status_str") != "success":
            raise PictureError(f"{self.name} failed at a picture: {_error_of(status)}")
        images = entry.get("outputs", {}).get(self._workflow.slots["image"].node, {}).get("images", [])
        if len(images) != 1:
            raise PictureError(
                f"{self.name} made {len(images)} pictures; expected one. Set the batch size to 1."
            )
        file = {key: images[0][key] for key in ("filename", "subfolder", "type")}
        response = self._request("GET", "/view", params=file)
        try:
            picture = Image.open(io.BytesIO(response.content))
            picture.load()
        except (OSError, SyntaxError) as error:
            raise PictureError(f"{self.name} sent a picture that cannot be read ({error}).") from error
        return picture

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        """The JSON object of a response. Raises SourceLostError for anything else."""
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.status_code != 200 or not isinstance(content, dict):
            raise SourceLostError(
                f"{self.name} answered {response.status_code} {response.text[:200]!r} to "
                f"{response.request.url.path}."
            )
        return content

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Retries time-outs, lost connections and 5xx.

        Raises SourceLostError after ``ATTEMPTS`` failures.
        """
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(FIRST_WAIT_S * 2 ** (attempt - 1))
            try:
                response = self._client.request(method, path, **options)
                if response.status_code < 500:
                    return response
                problem = f"status {response.status_code}"
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
        raise SourceLostError(f"{self.name} does not answer ({problem}).")


def _reasons(response: httpx.Response) -> str:
    """The node errors of a rejected prompt, or else the text of the response."""
    try:
        content = response.json()
        of_nodes = [
            f"{node['class_type']}: {error['message']} ({error['details']})"
            for node in dict(content["node_errors"]).values()
            for error in node["errors"]
        ]
        return "; ".join(of_nodes) or f"{content['error']['message']} ({content['error']['details']})"
    except (ValueError, LookupError, TypeError, AttributeError):
        return response.text[:500]


def _error_of(status: dict[str, Any]) -> str:
    """The error message of a failed run."""
    for kind, data in status.get("messages", []):
        if kind == "execution_error":
            return f"{data.get('node_type')}: {str(data.get('exception_message')).strip()}"
        if kind == "execution_interrupted":
            return "it was interrupted"
    return str(status)[:300]
