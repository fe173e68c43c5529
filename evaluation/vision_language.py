"""Vision-language models: a picture and a question in, words out."""

from __future__ import annotations

import base64
import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import httpx
import torch
from PIL import Image

from .errors import EvaluationError
from .files import png_bytes

MOST_TOKENS = 128  # of an answer
ATTEMPTS = 6
FIRST_WAIT_S = 1.0  # before the second attempt; twice as long before each further one
TIMEOUT_S = 120.0  # of one request
KEY_VARIABLE = "EVALUATION_API_KEY"  # environment variable; only endpoints that ask for a key need it


class VisionLanguage(Protocol):
    """name: of the model, for the benchmark's source."""

    name: str

    def ask(self, picture: Image.Image, prompt: str) -> str:
        """The answer, stripped and not empty; the likeliest one, so that the same question has the same answer.

        Raises AnswerError when there is none.
        """
        ...


class AnswerError(EvaluationError):
    """The model gave no answer."""


class NothingSaidError(AnswerError):
    """The model answered, with no words."""


class LocalModel:
    """An image-text-to-text model of transformers: Qwen-VL, InternVL and the like, by the id on the hub or a folder."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor  # seconds to import

        self.name = name
        self._processor = AutoProcessor.from_pretrained(name)
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        model: Any = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype)
        self._model = model.to(device).eval()

    @torch.no_grad()
    def ask(self, picture: Image.Image, prompt: str) -> str:
        content = [{"type": "image", "image": picture.convert("RGB")}, {"type": "text", "text": prompt}]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._model.device, self._model.dtype)
        out = self._model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        answer: str = self._processor.decode(
            out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        ).strip()
        if not answer:
            raise NothingSaidError(f"{self.name} answered nothing to {prompt!r}. Choose another model.")
        return answer


class Endpoint:
    """A model behind the chat completions of an OpenAI-compatible server (vLLM and the like).

    url: up to and including ``/v1``. Time-outs, lost connections, 429, 5xx and answers that are no completion are tried again.
    """

    def __init__(
        self, url: str, name: str, timeout_s: float = TIMEOUT_S, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self._url = f"{url.rstrip('/')}/chat/completions"
        key = os.environ.get(KEY_VARIABLE)
        self._timeout_s = timeout_s
        self._client = httpx.Client(
            timeout=timeout_s, headers={"Authorization": f"Bearer {key}"} if key else {}
        )
        self._wait = wait

    def ask(self, picture: Image.Image, prompt: str) -> str:
        image = f"data:image/png;base64,{base64.b64encode(png_bytes(picture)).decode()}"
        content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": prompt}]
        body = {
            "model": self.name,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
        }
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._complete(body)
            except _PassingError as error:
                if attempt == ATTEMPTS:
                    kind = NothingSaidError if isinstance(error, _EmptyError) else AnswerError
                    raise kind(
                        f"{self._url} gave no answer in {ATTEMPTS} attempts; the last time: {error}. Check the server; the same command "
                        "goes on from here."
                    ) from error
                logging.warning("%s: %s; attempt %d of %d follows", self._url, error, attempt + 1, ATTEMPTS)
                self._wait(FIRST_WAIT_S * 2 ** (attempt - 1))
        raise AssertionError("unreachable")

    def _complete(self, body: dict[str, Any]) -> str:
        try:
            status, answer = self._post(body)
        except httpx.TransportError as error:
            raise _PassingError(f"{type(error).__name__} ({error})") from error
        shown = answer.decode("utf-8", "replace")
        if status == 429 or status >= 500:
            raise _PassingError(f"status {status}")
        if status != 200:
            raise AnswerError(
                f"{self._url} refused the request for the model {self.name} ({status}): {shown[:500]}"
            )
        try:
            text = (json.loads(answer)["choices"][0]["message"]["content"] or "").strip()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _PassingError(f"no completion but {shown[:200]!r}") from error
        if not text:
            raise _EmptyError("an empty answer")
        return str(text)

    def _post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body. The time-out is for all of it: httpx's own is for each part, and a server may trickle for ever."""
        deadline = time.monotonic() + self._timeout_s
        answer = bytearray()
        with self._client.stream("POST", self._url, json=body) as response:
            for part in response.iter_bytes():
                answer += part
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"not all of the answer came in {self._timeout_s:g} s")
        return response.status_code, bytes(answer)


class _PassingError(Exception):
    """Something that may be better the next time."""


class _EmptyError(_PassingError):
    """The server works, and the model said nothing."""
