"""A client for HTTP servers that are not trusted: responses are bounded, and messages show no secrets."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass
from typing import Any

import httpx

MAX_BODY_BYTES = 2**20  # of a response
MAX_SHOWN = 500  # characters of a server's text in a message
USERINFO = re.compile(r"(?<=://)\S*@")
REDACTED = "***"


class ServerError(Exception):
    """No usable response. The message shows no secrets and no control characters."""


@dataclass(frozen=True)
class Response:
    """A complete response.

    status: HTTP status.
    body: uncompressed content.
    """

    status: int
    body: bytes

    def json(self) -> Any:
        """The parsed body. Raises ValueError if it is not JSON, or nested too deeply."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class Server:
    """One HTTP server.

    url: base URL. ``USER:PASSWORD@`` before the host is sent as basic authentication.
    timeout_s: time limit, seconds.
    key: API key, sent as a bearer token; empty for none.

    Raises ValueError if the URL is not one.
    """

    def __init__(self, url: str, timeout_s: float, key: str = "") -> None:
        try:
            given = httpx.URL(url)
        except httpx.InvalidURL:  # the error may show a part of the password
            given = httpx.URL()
        if given.scheme not in ("http", "https") or not given.host:
            raise ValueError(f"{url.rpartition('@')[2]!r} is not a server's URL; expected http://HOST:PORT.")
        base = given.copy_with(username=None, password=None)
        user, password, written = given.username, given.password, given.userinfo.decode()
        basic = base64.b64encode(f"{user}:{password}".encode()).decode() if written else ""
        self.name = str(base).rstrip("/")
        self._timeout_s = timeout_s
        self._secrets = [secret for secret in (key, password, written.partition(":")[2], basic) if secret]
        self._client = httpx.Client(
            base_url=base,
            auth=(user, password) if basic else None,
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=None),  # as many as there are threads
            # Compressed, a small response could fill the memory.
            headers={"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})},
        )

    def request(
        self,
        method: str,
        path: str,
        limit: int = MAX_BODY_BYTES,
        time_limit_s: float | None = None,
        **options: Any,
    ) -> Response:
        """One request, without redirects.

        limit: of the response's body, bytes.
        time_limit_s: of the whole response, seconds; None for the time limit of the server.
        options: of ``httpx.Client.stream``.

        Raises ServerError for time-outs, lost connections, and responses that are too long or
        compressed.
        """
        # httpx limits the time of each chunk only, and a server may trickle for ever.
        seconds = self._timeout_s if time_limit_s is None else time_limit_s
        deadline = time.monotonic() + seconds
        content = bytearray()
        try:
            with self._client.stream(method, path, **options) as response:
                encoding = response.headers.get("Content-Encoding", "identity")
                if encoding != "identity":
                    raise ServerError(f"a response in the encoding {self.shown(encoding)}; expected none")
                for part in response.iter_raw():
                    content += part
                    if len(content) > limit:
                        raise ServerError(f"a response of more than {limit / 2**20:g} MiB")
                    if time.monotonic() > deadline:
                        raise ServerError(f"the response took longer than {seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerError(f"{type(error).__name__} ({self.shown(str(error))})") from error
        return Response(response.status_code, bytes(content))

    def redacted(self, text: str) -> str:
        """The text without the secrets that were sent to the server."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text

    def shown(self, text: str | bytes) -> str:
        """A server's text for a message: redacted, cut off, with escaped control characters."""
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        text = self.redacted(text)
        text = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} .."
        return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def without_userinfo(text: str) -> str:
    """The text without user names and passwords in its URLs."""
    return USERINFO.sub("", text)


def checked_key(key: str, origin: str) -> str:
    """An API key without surrounding white space, such as the line end of a file.

    origin: where the key comes from, for the message.

    Raises ValueError, without showing the key, if no HTTP header can hold it.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError(
            f"{origin} holds a space, a line end, or a character beyond ASCII. Set it to the key alone. "
            "(The key is not shown.)"
        )
    return key
