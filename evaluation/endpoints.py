"""One vision-language model on several servers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Lock

from PIL import Image

from .vision_language import AnswerError, EmptyAnswerError, Endpoint, RefusedPictureError


class Endpoints:
    """Asks the least busy of several servers, from any number of threads.

    A server that gives no answer in all its attempts is given up; another one takes over the question.

    servers: the same model on each; at least one.
    """

    def __init__(self, servers: Sequence[Endpoint]) -> None:
        self.name = servers[0].name
        self._questions = dict.fromkeys(servers, 0)  # that each server works on
        self._lost: dict[Endpoint, AnswerError] = {}
        self._lock = Lock()

    def ask(self, picture: Image.Image, prompt: str) -> str:
        """As ``Endpoint.ask``. Raises AnswerError if no server is left."""
        while True:
            server = self._take()
            try:
                return server.ask(picture, prompt)
            except (EmptyAnswerError, RefusedPictureError):  # about this picture
                raise
            except AnswerError as error:
                self._give_up(server, error)
            finally:
                with self._lock:
                    self._questions[server] -= 1

    def _take(self) -> Endpoint:
        with self._lock:
            left = [server for server in self._questions if server not in self._lost]
            if not left:
                raise next(iter(self._lost.values()))
            server = min(left, key=self._questions.__getitem__)
            self._questions[server] += 1
            return server

    def _give_up(self, server: Endpoint, error: AnswerError) -> None:
        with self._lock:
            if server not in self._lost and len(self._lost) + 1 < len(self._questions):
                logging.warning("A server is given up. %s", error)
            self._lost.setdefault(server, error)
