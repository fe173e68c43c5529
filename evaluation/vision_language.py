"""Vision-language models: picture and question in, text out.

Local (transformers) or behind an HTTP endpoint.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from PIL import Image

from .errors import EvaluationError
from .files import jpeg_bytes, png_bytes
from .server import Server, ServerError, checked_key

MAX_ANSWER_TOKENS = 128
ATTEMPTS = 6  # per question, before the endpoint is given up
FIRST_WAIT_S = 1.0  # before the second attempt; doubled before each further one
TIMEOUT_S = 120.0  # per request
REFUSED_PICTURE = (400, 413, 422)  # statuses that may be due to one picture
KEY_VARIABLE = "EVALUATION_API_KEY"  # environment variable, for endpoints that require an API key


class VisionLanguage(Protocol):
    """A vision-language model.

    name: model id, recorded in the benchmark's source and in the tables.
    """

    name: str

    def ask(self, picture: Image.Image, prompt: str) -> str:
        """The answer: stripped, never empty, greedily decoded and therefore deterministic.

        Raises AnswerError if the model gives none.
        """
        ...


class AnswerError(EvaluationError):
    """The model or its server gave no answer."""


class EmptyAnswerError(AnswerError):
    """The model answered with an empty text."""


class RefusedPictureError(AnswerError):
    """The server refused this one request, such as a picture that is too small; others may be accepted."""


class LocalModel:
    """An image-text-to-text model of transformers (Qwen-VL, InternVL and others).

    name: model id on the hub, or a folder.
    device: torch device. On a CPU the weights are float32, elsewhere bfloat16.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor  # slow import

        self.name = name
        self._processor = AutoProcessor.from_pretrained(name)
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        model: Any = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype)
        self._model = model.to(device).eval()

    @torch.no_grad()
    def ask(self, picture: Image.Image, prompt: str) -> str:
        content = [
            {"type": "image", "image": picture.convert("RGB")},
            {"type": "text", "text": prompt},
        ]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._model.device, self._model.dtype)
        out = self._model.generate(**inputs, max_new_tokens=MAX_ANSWER_TOKENS, do_sample=False)
        prompt_length = inputs["input_ids"].shape[1]
        answer: str = self._processor.decode(out[0, prompt_length:], skip_special_tokens=True).strip()
        if not answer:
            raise EmptyAnswerError(f"{self.name} gave an empty answer to {prompt!r}. Choose another model.")
        return answer


class Endpoint:
    """A model behind the chat completions of an OpenAI-compatible server (vLLM and others).

    Retries time-outs, lost connections, statuses 429 and 5xx, and responses that are not
    completions.

    url: base URL, up to and including ``/v1``.
    name: model id on the server.
    timeout_s: time limit of one request, seconds.
    wait: sleeps for a number of seconds.
    tokens: most tokens of an answer.
    jpeg: send pictures as JPEG, not as PNG.

    Raises ValueError for a wrong URL or API key.
    """

    def __init__(
        self,
        url: str,
        name: str,
        timeout_s: float = TIMEOUT_S,
        wait: Callable[[float], None] = time.sleep,
        tokens: int = MAX_ANSWER_TOKENS,
        jpeg: bool = False,
    ) -> None:
        self.name = name
        key = checked_key(os.environ.get(KEY_VARIABLE, ""), f"The environment variable {KEY_VARIABLE}")
        self._server = Server(url, timeout_s, key)
        self._wait = wait
        self._tokens = tokens
        self._jpeg = jpeg

    def ask(self, picture: Image.Image, prompt: str) -> str:
        """Raises AnswerError after ``ATTEMPTS`` failures, or at once if the server refuses the request."""
        encoding, data = ("jpeg", jpeg_bytes(picture)) if self._jpeg else ("png", png_bytes(picture))
        image = f"data:image/{encoding};base64,{base64.b64encode(data).decode()}"
        content = [
            {"type": "image_url", "image_url": {"url": image}},
            {"type": "text", "text": prompt},
        ]
        body = {
            "model": self.name,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": self._tokens,
        }
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._complete(body)
            except _TransientError as error:  # noqa: PERF203  (the loop retries)
                if attempt == ATTEMPTS:
                    kind = EmptyAnswerError if isinstance(error, _EmptyTextError) else AnswerError
                    raise kind(
                        f"{self._server.name} gave no answer in {ATTEMPTS} attempts; the last error: "
                        f"{error}. "
                        "Check the server, then run the same command to resume."
                    ) from error
                logging.warning(
                    "%s: %s; attempt %d of %d follows", self._server.name, error, attempt + 1, ATTEMPTS
                )
                self._wait(FIRST_WAIT_S * 2 ** (attempt - 1))
        raise AssertionError("unreachable")

    def _complete(self, body: dict[str, Any]) -> str:
        """One attempt. Raises _TransientError if another attempt may succeed, else AnswerError."""
        try:
            response = self._server.request("POST", "/chat/completions", json=body)
        except ServerError as error:
            raise _TransientError(str(error)) from error
        if response.status == 429 or response.status >= 500:
            raise _TransientError(f"status {response.status}")
        shown = self._server.shown(response.body)
        if response.status != 200:
            kind = RefusedPictureError if response.status in REFUSED_PICTURE else AnswerError
            raise kind(
                f"{self._server.name} refused the request for the model {self.name} "
                f"({response.status}): '{shown}'"
            )
        try:
            text = response.json()["choices"][0]["message"]["content"] or ""
            answer = self._server.redacted(text).encode("utf-8", "replace").decode().strip()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _TransientError(f"expected a completion, got '{shown}'") from error
        if not answer:
            raise _EmptyTextError("an empty answer")
        return answer


class _TransientError(Exception):
    """A failure that another attempt may avoid."""


class _EmptyTextError(_TransientError):
    """A valid completion with an empty text."""
