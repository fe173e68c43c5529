"""Tolerant JSON: finds the one JSON value in a text written by a person or a language model.

Valid JSON is taken unchanged. Any other text is searched for one JSON value, past code fences, prose
and reasoning, by a parser that accepts comments, extra commas, other quotation marks and Python
literals. Strings are never changed. Each kind of repair is reported. ``web/formats/json_text.js`` is the
JavaScript twin; both read every text alike. Standard library only.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any, NamedTuple

from .fields import shown
from .json_parser import (
    BLANKS,
    BREAKS,
    COMMAS,
    COMMENTS,
    KEYS,
    LITERALS,
    MAX_DEPTH,
    QUOTATION,
    JsonTextError,
    Mismatch,
    Parser,
    too_deep,
)

MAX_CHARACTERS = 2_000_000
MAX_WASTED = 200_000  # characters read behind brackets that begin no JSON value
MAX_VALUES = 1000  # JSON values in one text
SHOWN = 20  # characters of the text in an error message
MAX_STRING_LAYERS = 3  # JSON inside a JSON string inside a JSON string

FENCE = "```"
REASONING_START = re.compile(r"<(think|thinking|thought|reasoning)>", re.IGNORECASE)
REASONING_END = re.compile(r"</(think|thinking|thought|reasoning)>", re.IGNORECASE)

CUT_OFF = "it is cut off: a bracket or a quotation mark is not closed"

# Kinds of repair; REPAIRS has them in the order of the report.
AROUND = "left out the text around the JSON"
OTHERS = "left out other JSON values"
REASONING = "left out the reasoning"
IN_STRING = "took the JSON out of a string"
LINES = "joined several objects to one list"
REPEATED = "left out repetitions of the same JSON"
REPAIRS = (
    AROUND,
    OTHERS,
    REASONING,
    IN_STRING,
    LINES,
    REPEATED,
    COMMENTS,
    COMMAS,
    QUOTATION,
    KEYS,
    LITERALS,
    BREAKS,
)


class JsonText(NamedTuple):
    """A value, the kinds of repair (of ``REPAIRS``) needed to read it, and the text around it.

    Valid JSON needs no repair and has nothing around it.
    """

    value: Any
    repairs: tuple[str, ...] = ()
    around: str = ""


class _Candidate(NamedTuple):
    """A JSON value at text[start:end]."""

    value: Any
    start: int
    end: int
    repairs: frozenset[str]
    is_fenced: bool
    repeated: str | None  # a key that an object has twice


def read_json_text(text: str) -> JsonText:
    """Read the one JSON value of a text, with repairs where needed.

    Raises JsonTextError when the text holds none, several, or one that is cut off, nested deeper than
    ``MAX_DEPTH`` or has a key twice in one object.
    """
    if len(text) > MAX_CHARACTERS:
        raise JsonTextError(f"it has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    repairs: set[str] = set()
    around = ""
    for _ in range(MAX_STRING_LAYERS):
        repeated: list[str] = []
        try:
            value = json.loads(
                text, parse_constant=_refuse_constant, object_pairs_hook=partial(_object, repeated)
            )
        except (ValueError, RecursionError):
            value, needed, outside = _search(text)
            repairs |= needed
            around += outside
        else:
            if repeated:
                raise _repeated(repeated[0])
        if not isinstance(value, str):
            if _is_too_deep(value):
                raise too_deep()
            return JsonText(value, tuple(kind for kind in REPAIRS if kind in repairs), around)
        repairs.add(IN_STRING)
        text = value
    raise JsonTextError("it is text inside a string inside a string; give the JSON itself")


def _refuse_constant(name: str) -> None:
    """NaN and Infinity are not JSON, though Python reads them."""
    raise ValueError(name)


def _object(repeated: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; adds the first key that occurs twice to ``repeated``."""
    result: dict[str, Any] = {}
    found = None
    for key, value in pairs:
        if found is None and key in result:
            found = key
        result[key] = value
    if found is not None:
        repeated.append(found)
    return result


def _repeated(key: str) -> JsonTextError:
    return JsonTextError(f"an object has the key {shown(key)} twice; leave one of them")


def _search(text: str) -> tuple[Any, set[str], str]:
    """The one value in a text that is not valid JSON as a whole, its repairs, and the rest of the text."""
    found, outside, skipped_reasoning = _scan(text)
    # Brackets in prose, such as [1], are no layout. A code fence marks the answer among several values.
    containers = [one for one in found if _is_container(one.value)]
    if not containers and (not found or any(bracket in outside for bracket in "{}[]")):
        raise JsonTextError("it holds no JSON object or list")
    candidates = _answers(containers or found)
    for one in candidates:
        if one.repeated is not None:
            raise _repeated(one.repeated)
    repairs = set(candidates[0].repairs)
    starts = {one.start for one in candidates}
    left_out = [one for one in found if one.start not in starts]
    if any(_is_container(one.value) or not one.value for one in left_out):
        repairs.add(OTHERS)
    elif left_out:
        repairs.add(AROUND)
    if skipped_reasoning:
        repairs.add(REASONING)
    if outside.strip(BLANKS):
        repairs.add(AROUND)
    value = candidates[0].value
    if len({json.dumps(one.value) for one in candidates}) == 1:  # a draft and the same answer again
        return value, repairs | ({REPEATED} if len(candidates) > 1 else set()), outside
    if all(isinstance(one.value, dict) for one in candidates) and not outside.strip(BLANKS + ","):
        needed = repairs.union(*(one.repairs for one in candidates), {LINES}) - {AROUND}
        return [one.value for one in candidates], needed, outside
    raise JsonTextError(f"it holds {len(candidates)} different JSON values; leave only the layout")


def _answers(candidates: list[_Candidate]) -> list[_Candidate]:
    """Without the drafts before a code fence, which marks the answer. Values behind it may correct it."""
    fenced = [one for one in candidates if one.is_fenced]
    if not fenced:
        return candidates
    return [one for one in candidates if one.is_fenced or one.start > fenced[-1].start]


def _scan(text: str) -> tuple[list[_Candidate], str, bool]:
    """All JSON objects and lists outside of reasoning, the rest of the text, and whether there was reasoning.

    Raises JsonTextError when a value is cut off by the end of the text or the reasoning has no end.
    """
    candidates: list[_Candidate] = []
    outside: list[str] = []
    reasoning = False
    position = wasted = 0
    opened = 0  # brackets of the prose behind the last value
    while position < len(text):
        if text[position] in "{[":
            parser = Parser(text, position)
            try:
                value = parser.value()
            except Mismatch as mismatch:
                if mismatch.at_end:
                    raise JsonTextError(CUT_OFF) from None
                if parser.is_json:  # never take a part of a broken value for the whole
                    raise JsonTextError(f"it is not JSON {_place(text, parser.position)}") from None
                wasted += parser.position - position  # a bracket of the prose
                if wasted > MAX_WASTED:
                    raise JsonTextError("it has too many brackets that begin no JSON value") from None
            else:
                repairs, is_fenced = frozenset(parser.repairs), _is_fenced(text, position, parser.position)
                candidates.append(
                    _Candidate(value, position, parser.position, repairs, is_fenced, parser.repeated)
                )
                outside.append("\n")
                if len(candidates) > MAX_VALUES:
                    raise JsonTextError(f"it holds more than {MAX_VALUES} JSON values; leave only the layout")
                position, opened = parser.position, 0
                continue
        elif text[position] == "<":
            if match := REASONING_START.match(text, position):
                end = REASONING_END.search(text, match.end())
                if end is None:
                    raise JsonTextError("it is cut off: the reasoning has no end")
                reasoning, position = True, end.end()
                continue
            # The start tag may be part of the model's prompt.
            if match := REASONING_END.match(text, position):
                candidates, outside, reasoning, position = [], [], True, match.end()
                continue
        opened += (text[position] in "{[") - (text[position] in "}]")
        # The value before may be a part of a broken one.
        if opened < 0 and candidates and _is_container(candidates[-1].value):
            raise JsonTextError(f"it is not JSON {_place(text, position)}: nothing opens this bracket")
        outside.append(text[position])
        position += 1
    return candidates, "".join(outside), reasoning


def _place(text: str, position: int) -> str:
    """The line and column of a position, and what stands there, for an error message."""
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    return f"at line {line}, column {column}: {shown(text[position : position + SHOWN])}"


def _is_container(value: Any) -> bool:
    """Whether a value may be a layout: an object with keys, or a list of objects, lists or texts."""
    parts = value if isinstance(value, list) else [value]
    return bool(value) and all(isinstance(part, (dict, list, str)) for part in parts)


def _is_fenced(text: str, before: int, after: int) -> bool:
    """Whether text[before:after] is all there is in a code fence, apart from the language's name."""
    while before and text[before - 1] in BLANKS:
        before -= 1
    while before and text[before - 1].isascii() and text[before - 1].isalnum():
        before -= 1
    while after < len(text) and text[after] in BLANKS:
        after += 1
    return text.endswith(FENCE, 0, before) and text.startswith(FENCE, after)


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
