"""What a vision-language model's answer says, without the wrapping that models add."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DESCRIPTION = 2000  # characters; a model that writes more ignores the limit of tokens

# All patterns take linear time: an answer may be as long as a server likes.
REASONING_BEGIN = re.compile(r"<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
REASONING_END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
MARKER = r"(?:<\|[\w ]{1,40}\|>|</?(?:s|bos|eos|pad|unk|answer|start_of_turn|end_of_turn)>|\[/?INST\])"
BEGIN_TOKENS = re.compile(rf"\s*(?:{MARKER}\s*)*(?:(?:assistant|model)\s*[\n:])?", re.IGNORECASE)
END_TOKEN = re.compile(
    r"<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|end|return)\|>|</s>|<(?:eos|end_of_turn)>",
    re.IGNORECASE,
)
FENCE = re.compile(r"```\w*\n?(.*?)(?:```|\Z)", re.DOTALL)
MARKDOWN = re.compile(r"\*\*|__|^#{1,6} +", re.MULTILINE)
INTRODUCTION = re.compile(
    r"^(?:(?:sure|certainly|of course|okay)\b[!,.]? )?here(?:'s| is|\u2019s)[^:\n]{0,80}:", re.IGNORECASE
)
LABEL = re.compile(
    r"^\W{0,9}(?:the )?(?:final |short )?(?:answer|caption|description|response|output)"
    r"(?: of [^:\n]{1,80}| is)? ?:"
    # Chinese and Japanese: description, answer, caption
    "|^[^\\w\n]{0,9}(?:\\u56fe\\u7247|\\u56fe\\u50cf|\\u753b\\u50cf\\u306e)?"
    "(?:\\u63cf\\u8ff0|\\u56de\\u7b54|\\u7b54\\u6848|\\u8aac\\u660e|\\u7b54\\u3048|"
    "\\u30ad\\u30e3\\u30d7\\u30b7\\u30e7\\u30f3)[:\\uff1a]",
    re.IGNORECASE | re.MULTILINE,
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Around a whole answer.
QUOTES = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u300c", "\u300d"), ("\u300e", "\u300f"))
KEYS = ("answer", "description", "caption", "text", "phrase", "response", "result")  # of an answer in JSON

REFUSAL = re.compile(
    r"(?:i'?m|i am) (?:sorry|unable|not able|afraid)\b"
    r"|i (?:can'?t|can ?not|could not|couldn'?t|won'?t|will not|do not|don'?t|must decline|apologi[sz]e)\b"
    r"|(?:sorry|(?:my )?apologies|unfortunately|unable to|as an? (?:ai|language|large))\b"
    r"|there (?:is no|are no|isn'?t|aren'?t)\b"
    r"|(?:n/a|none|null|unknown|yes|no|(?:there is )?no answer)\W*$"
    # Chinese and Japanese: sorry, I cannot, as an AI
    "|(?:\u5f88|\u975e\u5e38)?\u62b1\u6b49|\u5bf9\u4e0d\u8d77|\u6211(?:\u65e0\u6cd5|\u4e0d\u80fd)"
    "|\u4f5c\u4e3a(?:\u4e00\u4e2a)?AI|\u7533\u3057\u8a33|\u3059\u307f\u307e\u305b\u3093|\u6b8b\u5ff5\u306a\u304c\u3089",
    re.IGNORECASE,
)


def plain_text(answer: str) -> str:
    """The answer itself; "" if there is none.

    Removes reasoning, end tokens, code fences, JSON, labels such as ``**Answer:**``, and Markdown.
    """
    text = REASONING_BEGIN.split(_after_last(REASONING_END, answer))[0]
    text = text[BEGIN_TOKENS.match(text).end() :]  # type: ignore[union-attr]  # always matches
    text = re.sub(MARKER, "", END_TOKEN.split(text)[0])
    fenced = FENCE.search(text)
    text = _from_json((fenced.group(1) if fenced else text).strip())
    text = MARKDOWN.sub("", CONTROLS.sub(" ", text))
    text = _after_last(LABEL, _after_last(INTRODUCTION, text))
    text = _from_json(text.strip()).strip("`* \n")
    for begin, end in QUOTES:
        inner = text[1:-1]
        is_one = f"{end} " not in inner  # not: "a cat" and "a dog"
        if text.startswith(begin) and text.endswith(end) and len(text) > 1 and is_one:
            text = inner.strip()
    return text


def description_of(answer: str) -> str:
    """The answer as a description in one line; "" for a refusal, a yes or no, or if there is none."""
    text = " ".join(plain_text(answer).split())
    return "" if REFUSAL.match(text.replace("\u2019", "'")) or len(text) > MAX_DESCRIPTION else text


def _after_last(pattern: re.Pattern[str], text: str) -> str:
    """The text after the last match; all of it if there is none."""
    matches = list(pattern.finditer(text))
    return text[matches[-1].end() :] if matches else text


def _from_json(text: str) -> str:
    """The text in an answer of JSON; other text as it is."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return _text_in(json.loads(text))
    except (ValueError, RecursionError):
        return ""  # cut off, or broken


def _text_in(value: Any) -> str:
    """The only text that a value of JSON holds, or that of a known key; "" if there is none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        known = [value[key] for key in KEYS if key in value]
        value = known[:1] or list(value.values())
    return _text_in(value[0]) if isinstance(value, list) and len(value) == 1 else ""
