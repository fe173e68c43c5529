"""How many of CLIP's 77 tokens a local description takes, told to the layout editor by the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import comfy.sd1_clip
from aiohttp import web
from server import PromptServer

from .text import first_end

ROUTE = "/ifadapter/tokens"
MOST_TEXTS = 1000  # in one question


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Tokens of each text with its start and its end, as CLIP-L counts them; more than 77 do not fit."""
    tokenizer = _tokenizer()
    counts = []
    for text in texts:
        chunks = tokenizer.tokenize_with_weights(text)
        counts.append(
            2 + sum(first_end(chunk, tokenizer.end_token) - 1 for chunk in chunks)
        )  # the start stands before
    return counts


def register_route() -> None:
    """Answer ``{"texts": [..]}`` with ``{"counts": [..]}``. Without a server there is nobody to ask."""
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.post(ROUTE)(_answer)


async def _answer(request: web.Request) -> web.Response:
    try:
        texts = (await request.json())["texts"]
    except (ValueError, TypeError, KeyError):
        texts = None
    if (
        not isinstance(texts, list)
        or len(texts) > MOST_TEXTS
        or not all(isinstance(text, str) for text in texts)
    ):
        return web.json_response(
            {"error": f'Expected {{"texts": [..]}} with at most {MOST_TEXTS} texts.'}, status=400
        )
    try:
        return web.json_response({"counts": await asyncio.to_thread(count_tokens, texts)})
    except Exception:
        logging.exception("IFAdapter: tokens could not be counted")
        return web.json_response(
            {"error": "The tokens could not be counted; see the server's log."}, status=500
        )


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    return comfy.sd1_clip.SDTokenizer()
