"""Exact token counts of local descriptions, for the layout editor to show after a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import comfy.sd1_clip

from .text import first_end

MEMOISED_TEXTS = 1000


def count_tokens(texts: Sequence[str]) -> list[int] | None:
    """Tokens of each text by CLIP-L's tokenizer, start and end included; the encoder truncates at 77.

    Returns None, after one warning in the log, if the host's tokenizer cannot be loaded.
    """
    return None if _tokenizer() is None else [_count(text) for text in texts]


@lru_cache(maxsize=MEMOISED_TEXTS)
def _count(text: str) -> int:
    tokenizer = _tokenizer()
    chunks = tokenizer.tokenize_with_weights(text)  # of 77 tokens each, with a start and an end of its own
    return 2 + sum(first_end(chunk, tokenizer.end_token) - 1 for chunk in chunks)


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    try:
        return comfy.sd1_clip.SDTokenizer()
    except Exception:
        logging.warning(
            "IFAdapter: the CLIP tokenizer could not be loaded; the editor only estimates token counts.",
            exc_info=True,
        )
        return None
