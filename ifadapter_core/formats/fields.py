"""Checked access to the fields of parsed JSON. Standard library only.

All functions raise LayoutError that names the field, what was expected and what was given.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from ..layout import MAX_INSTANCES, LayoutError

MAX_TEXT = 10_000  # characters of a description
CAPTIONS = ("caption", "prompt", "global_caption", "high_level_description")  # keys of the global caption
SHOWN = 30  # characters of a value in an error message
# White space of Python and of JavaScript, so that both languages strip the same.
WHITE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
# White space, control characters and characters without a glyph (Unicode: default ignorable).
INVISIBLE = re.compile(
    f"[{WHITE}\\x00-\\x1f\\x7f-\\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)
SURROGATE = re.compile("[\ud800-\udfff]")
INDEX = re.compile("0|[1-9][0-9]{0,9}")  # a key that JavaScript sorts before all others, if below MAX_INDEX
MAX_INDEX = 2**32 - 1
NUMBER_AS_TEXT = re.compile(r"\s*[+-]?[0-9.]+\s*(%?)\s*")
MAX_NAMED = 10  # keys, or boxes of a key, in a notice
Corners = tuple[float, float, float, float]  # x0, y0, x1, y1


def has_value(value: Any) -> bool:
    """Whether the value of a field is neither nothing nor an empty text. Compares no values of a link."""
    return value is not None and not (isinstance(value, str) and not value)


def first_named(named: Sequence[str]) -> str:
    """The first MAX_NAMED of a list in a notice, and the number of the others."""
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return f"{', '.join(named[:MAX_NAMED])}{more}"


def text_of(value: Any, name: str) -> str:
    """Text without surrounding white space, of at most ``MAX_TEXT`` characters; "" if none is visible."""
    if not isinstance(value, str):
        raise LayoutError(f"{name} must be text, got {kind_of(value)}.")
    if len(value) > MAX_TEXT:
        raise LayoutError(f"{name} has {len(value)} characters; at most {MAX_TEXT} are read. Shorten it.")
    if broken := SURROGATE.search(value):
        raise LayoutError(
            f"{name} holds half of a character (a lone surrogate, position {broken.start() + 1}). "
            "Write that character again."
        )
    return "" if INVISIBLE.fullmatch(value) else value.strip(WHITE)


def caption_of(data: dict) -> str:
    """The global caption of a layout; "" if there is none. Raises LayoutError if there are two."""
    texts = {key: text_of(data[key], key) for key in CAPTIONS if data.get(key) is not None}
    found = {key: text for key, text in texts.items() if text}
    if len(set(found.values())) > 1:
        raise LayoutError(f"The layout has different captions under {' and '.join(found)}. Keep one of them.")
    return next(iter(found.values()), "")


def number_of(value: Any, name: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LayoutError(f"{name} must be a number, got {kind_of(value)}.{_advice(value)}")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise LayoutError(f"{name} must be a finite number, got {number_text(value)}.")
    return value


def _advice(value: Any) -> str:
    """How to write a number that was given as text."""
    match = NUMBER_AS_TEXT.fullmatch(value[:20]) if isinstance(value, str) else None
    if match is None:
        return ""
    unit = ' and the percent sign, and add "units": "percent" to the layout' if match[1] else ""
    return f" Write it without the quotation marks{unit}."


def four_numbers(value: Any, name: str, order: tuple[str, str, str, str]) -> Corners:
    """A list of four finite numbers. order: what each of them is."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise LayoutError(f"{name} must be [{', '.join(order)}], got {kind_of(value)}.")
    a, b, c, d = (number_of(part, f"{name}: {key}") for key, part in zip(order, value, strict=True))
    return a, b, c, d


def list_of(value: Any, name: str) -> list:
    """A list of boxes or descriptions, counted before it is read."""
    if not isinstance(value, list):
        raise LayoutError(f"'{name}' must be a list, got {kind_of(value)}.")
    check_count(len(value))
    return value


def check_count(count: int) -> None:
    """Raises LayoutError if a layout cannot have so many instances."""
    if count > MAX_INSTANCES:
        raise LayoutError(
            f"The layout has {count} instances; at most {MAX_INSTANCES} are supported. Remove some boxes."
        )


def object_of(value: Any, name: str) -> dict:
    """An object."""
    if not isinstance(value, dict):
        raise LayoutError(f"'{name}' must be an object, got {kind_of(value)}.")
    return value


def entry_of(value: Any, number: int) -> dict:
    """The object that describes box ``number``."""
    if not isinstance(value, dict):
        raise LayoutError(f"Box {number} must be an object with named numbers, got {kind_of(value)}.")
    return value


def corners_of(entry: dict, keys: tuple[str, str, str, str], number: int) -> Corners:
    """Corners of box ``number``. keys: names of its left edge, top edge, width and height."""
    missing = [key for key in keys if key not in entry]
    if missing:
        raise LayoutError(f"Box {number} lacks {', '.join(missing)}; expected {', '.join(keys)}.")
    x, y, w, h = (number_of(entry[key], f"Box {number}: {key}") for key in keys)
    return x, y, x + w, y + h


def description_of(entry: dict, keys: Iterable[str], number: int) -> str:
    """Local description of box ``number``: the first of these fields that is not empty, or ""."""
    for key in keys:
        value = entry.get(key)
        if isinstance(value, list) and len(value) <= 1:
            value = value[0] if value else None
        text = "" if value is None else text_of(value, f"Box {number}: {key}")
        if text:
            return text
    return ""


def kind_of(value: Any) -> str:
    """Type and abbreviated value in JSON's terms, for error messages."""
    if value is None:
        return "nothing"
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true/false",
        int: "a number",
        float: "a number",
    }
    name = names.get(type(value), type(value).__name__)
    try:
        return f"{name} ({shown(value)})"
    except Exception:  # a value from a link: objects nested too deeply or that cannot be shown
        return f"{name} that cannot be shown"


def shown(value: Any) -> str:
    """A value as JSON, cut to ``SHOWN`` characters. The editor shows the same."""
    text = _json_start(value, SHOWN)
    return f"{text[:SHOWN]}.." if len(text) > SHOWN else text


def _json_start(value: Any, room: int) -> str:
    """At least the first ``room`` characters of a value as JSON."""
    if isinstance(value, str):
        text = json.dumps(value[: max(room, 0) + 1], ensure_ascii=False)
        return SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return number_text(value)
    if not isinstance(value, (list, dict)):
        return reprlib.repr(value)
    text = "{" if isinstance(value, dict) else "["
    for index, part in enumerate(keys_of(value) if isinstance(value, dict) else value):
        if len(text) > room:
            return text
        text += ", " if index else ""
        if isinstance(value, dict):
            text += f"{_json_start(part, room - len(text))}: "
            part = value[part]
        text += _json_start(part, room - len(text))
    return text + ("}" if isinstance(value, dict) else "]")


def keys_of(value: dict) -> list:
    """The keys of an object in JavaScript's order: whole numbers first, sorted."""
    found = [key for key in value if isinstance(key, str) and INDEX.fullmatch(key) and int(key) < MAX_INDEX]
    return list({**dict.fromkeys(sorted(found, key=int)), **value})


def number_text(value: float) -> str:
    """A number with at most six significant digits, or an integer, as JavaScript writes it."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    number = float(f"{number:.6g}")
    if 1e-7 <= abs(number) < 1e21:
        return f"{Decimal(repr(number)):f}".removesuffix(".0")
    return re.sub("e([+-])0*", r"e\1", repr(number))
