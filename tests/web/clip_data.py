"""Writes the data of the editor's token estimate and of its tests, from the CLIP tokenizer of a ComfyUI.

    COMFYUI_PATH=~/comfy/ComfyUI ~/comfy/ComfyUI/.venv/bin/python tests/web/clip_data.py

web/clip_words.txt: the words that CLIP encodes as a single token. tests/web/captions.json: the exact token
count of each caption, which are written by hand. tests/host/text/test_token_counter.py checks both files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
WORDS_FILE = ROOT / "web" / "clip_words.txt"
CAPTIONS_FILE = ROOT / "tests" / "web" / "captions.json"

SHORTEST_WORD = 5  # letters; nearly all shorter words are single tokens
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
END_OF_WORD = "</w>"
COMMENT = "#"
LINE_LENGTH = 120  # characters


def words_text(comments: str, vocabulary: Iterable[str]) -> str:
    """The contents of web/clip_words.txt: comments, then the one-token words of a vocabulary, packed."""
    words = sorted(
        word
        for word in (token.removesuffix(END_OF_WORD) for token in vocabulary if token.endswith(END_OF_WORD))
        if len(word) >= SHORTEST_WORD and word.isascii() and word.isalpha() and word.islower()
    )
    lines = [""]
    for packed in _front_coded(words):
        if len(lines[-1]) + len(packed) > LINE_LENGTH:
            lines.append("")
        lines[-1] += packed
    return comments + "\n".join(lines) + "\n"


def comments_of(text: str) -> str:
    """The comment lines of a file's text."""
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(COMMENT))


def _front_coded(words: Iterable[str]) -> Iterator[str]:
    """Each word as the length of the prefix it shares with the previous word, then its other letters."""
    previous = ""
    for word in words:
        shared = len(os.path.commonprefix([previous, word]))
        yield DIGITS[shared] + word[shared:]
        previous = word


def count(tokenizer: Any, text: str) -> int:
    """Tokens of a text, start and end included. tokenizer: the host's SDTokenizer."""
    return 2 + sum(
        next(index for index, (token, _) in enumerate(chunk) if token == tokenizer.end_token) - 1
        for chunk in tokenizer.tokenize_with_weights(text)
    )


def main() -> None:
    sys.path.insert(0, os.environ.get("COMFYUI_PATH", str(Path.home() / "comfy" / "ComfyUI")))
    sys.argv = [sys.argv[0], "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    from comfy.sd1_clip import SDTokenizer

    tokenizer = SDTokenizer()
    comments = comments_of(WORDS_FILE.read_text(encoding="ascii"))
    WORDS_FILE.write_text(words_text(comments, tokenizer.tokenizer.get_vocab()), encoding="ascii")

    data = json.loads(CAPTIONS_FILE.read_text(encoding="utf-8"))
    for caption in data["captions"]:
        caption["tokens"] = count(tokenizer, caption["text"])
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    CAPTIONS_FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
