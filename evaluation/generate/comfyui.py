"""A running ComfyUI as a source of pictures, through its HTTP API."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

from ifadapter_core.layout import Layout
from ifadapter_diffusers.pictures import read_picture

from ..server import MAX_BODY_BYTES, Response, Server, ServerError
from .generator import PictureError, SourceLostError
from .workflow import Graph, Workflow, WorkflowError

POLL_S = 0.5  # between two queries of a prompt's state
REQUEST_TIMEOUT_S = 30.0
ATTEMPTS = 6  # per request, before the server is given up
FIRST_WAIT_S = 1.0  # before the second attempt; doubled before each further one
MAX_WORKFLOWS_BYTES = 32 * 2**20  # of responses that hold whole workflows: the queue those of all users
MAX_PICTURE_BYTES = 256 * 2**20

Wait = Callable[[float], None]  # sleeps for a number of seconds


class ComfyUI:
    """One server.

    Polls the state of a prompt instead of listening on the websocket: a broken connection then
    loses nothing.

    address: ``HOST:PORT`` or a URL.
    workflow: filled in for each picture.
    timeout_s: time limit from queueing a prompt to its picture, seconds.
    wait: sleeps for a number of seconds.

    Raises ValueError for a wrong address.
    """

    def __init__(self, address: str, workflow: Workflow, timeout_s: float, wait: Wait = time.sleep) -> None:
        self._server = Server(address if "://" in address else f"http://{address}", REQUEST_TIMEOUT_S)
        self.name = self._server.name
        self._workflow = workflow
        self._timeout_s = timeout_s
        self._wait = wait

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
        if response.status == 400:
            raise WorkflowError(f"{self.name} rejects the workflow: {self._reasons(response)}")
        content = self._object(response, "/prompt")
        if content.get("node_errors"):  # the server would run the valid outputs and skip the others
            raise WorkflowError(f"{self.name} rejects a part of the workflow: {self._reasons(response)}")
        prompt = content.get("prompt_id")
        if not isinstance(prompt, str) or not re.fullmatch(r"[\w-]{1,100}", prompt, re.ASCII):
            raise self._unexpected(response, "/prompt")
        return prompt

    def _history(self, prompt: str) -> dict[str, Any] | None:
        """The history entry of a finished prompt, or None."""
        path = f"/history/{prompt}"
        response = self._request("GET", path, MAX_WORKFLOWS_BYTES)
        entry = self._object(response, path).get(prompt)
        if entry is not None and not isinstance(entry, dict):
            raise self._unexpected(response, path)
        return entry

    def _is_queued(self, prompt: str) -> bool:
        """Whether a prompt is pending or running."""
        response = self._request("GET", "/queue", MAX_WORKFLOWS_BYTES)
        queue = self._object(response, "/queue")
        try:
            items = [*queue.get("queue_running", []), *queue.get("queue_pending", [])]
            return any(item[1] == prompt for item in items)
        except (LookupError, TypeError):
            raise self._unexpected(response, "/queue") from None

    def _picture(self, entry: dict[str, Any]) -> Image.Image:
        """Download the single picture of a history entry."""
        node = self._workflow.slots["image"].node
        try:
            status = entry.get("status") or {}
            success = status.get("status_str") == "success"
            problem = "" if success else _error_of(status)
            images = [
                {key: str(image[key]) for key in ("filename", "subfolder", "type")}
                for image in entry.get("outputs", {}).get(node, {}).get("images", [])
            ]
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise PictureError(
                f"{self.name} sent a history of another form: '{self._server.shown(str(entry))}'."
            ) from error
        if not success:
            raise PictureError(f"{self.name} failed at a picture: {self._server.shown(problem)}")
        if len(images) != 1:
            raise PictureError(
                f"{self.name} made {len(images)} pictures; expected one. Set the batch size to 1."
            )
        response = self._request("GET", "/view", MAX_PICTURE_BYTES, self._timeout_s, params=images[0])
        if response.status != 200:
            raise PictureError(f"{self.name} answered {response.status} to the download of a picture.")
        try:
            return read_picture(io.BytesIO(response.body), remedy="")
        except ValueError as error:
            raise PictureError(f"{self.name}: {self._server.shown(str(error)).strip()}") from error

    def _object(self, response: Response, path: str) -> dict[str, Any]:
        """The JSON object of a response. Raises SourceLostError for anything else."""
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.status != 200 or not isinstance(content, dict):
            raise self._unexpected(response, path)
        return content

    def _unexpected(self, response: Response, path: str) -> SourceLostError:
        shown = self._server.shown(response.body)
        return SourceLostError(f"{self.name} answered {response.status} '{shown}' to {path}.")

    def _request(
        self,
        method: str,
        path: str,
        limit: int = MAX_BODY_BYTES,
        time_limit_s: float = REQUEST_TIMEOUT_S,
        **options: Any,
    ) -> Response:
        """Retries time-outs, lost connections, responses that are too long, and 5xx.

        Raises SourceLostError after ``ATTEMPTS`` failures.
        """
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(FIRST_WAIT_S * 2 ** (attempt - 1))
            try:
                response = self._server.request(method, path, limit, time_limit_s, **options)
                if response.status < 500:
                    return response
                problem = f"status {response.status}"
            except ServerError as error:
                problem = str(error)
        raise SourceLostError(f"{self.name} does not answer ({problem}).")

    def _reasons(self, response: Response) -> str:
        """The node errors of a rejected prompt, or else the text of the response."""
        try:
            content = response.json()
            of_nodes = [
                f"{node['class_type']}: {error['message']} ({error['details']})"
                for node in dict(content["node_errors"]).values()
                for error in node["errors"]
            ]
            reasons = "; ".join(of_nodes) or f"{content['error']['message']} ({content['error']['details']})"
        except (ValueError, LookupError, TypeError, AttributeError):
            return self._server.shown(response.body)
        return self._server.shown(reasons)


def _error_of(status: dict[str, Any]) -> str:
    """The error message of a failed run."""
    for kind, data in status.get("messages", []):
        if kind == "execution_error":
            return f"{data.get('node_type')}: {str(data.get('exception_message')).strip()}"
        if kind == "execution_interrupted":
            return "it was interrupted"
    return str(status)[:300]
