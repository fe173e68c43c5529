"""A recursive descent parser for one tolerant JSON value. Standard library only.

It accepts comments, extra commas, other quotation marks, bare keys, Python literals and tuples, and
records each kind of repair. Strings are never changed. ``web/formats/json_parser.js`` is the twin.
"""

from __future__ import annotations

import re
import sys
from typing import Any, cast

MAX_DEPTH = 100  # nested objects and lists
MAX_PARTS = 100_000  # values inside one value

BLANKS = " \t\n\r\v\f\u00a0\u2028\u2029\ufeff"  # \ufeff: byte order mark
BRACKETS = {"{": "}", "[": "]", "(": ")"}
# Opening quotation mark -> closing ones.
QUOTES = {
    '"': '"',
    "'": "'",
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u2018": "\u2019",
    "\u2019": "\u2019",
}
APOSTROPHES = "'\u2019"  # as a closing mark only where a value may end: they also occur inside words
WORDS = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
JSON_WORDS = ("true", "false", "null")
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# Escaped characters by their number: marker -> hexadecimal digits. JSON knows only u.
CODES = {"u": 4, "x": 2, "U": 8}

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.%$])")
JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
WORD = re.compile(r"-?[A-Za-z_$][A-Za-z0-9_$-]*")
HEX = re.compile(r"[0-9A-Fa-f]+")

# Kinds of repair.
COMMENTS = "left out comments"
COMMAS = "left out extra commas"
QUOTATION = "replaced quotation marks"
KEYS = "put quotation marks around keys"
LITERALS = "replaced literals that are not JSON"
BREAKS = "kept line breaks inside strings"


class JsonTextError(ValueError):
    """The text holds no JSON value, several, or one that is cut off or nested too deeply."""


class Mismatch(Exception):  # noqa: N818 - control flow: no JSON value begins at this place
    """No JSON value begins here. at_end: the text ended inside the value."""

    def __init__(self, at_end: bool = False) -> None:
        self.at_end = at_end


def too_deep() -> JsonTextError:
    return JsonTextError(f"it is nested too deeply; at most {MAX_DEPTH} levels are read")


class Parser:
    """A recursive descent parser for one tolerant JSON value that begins with a bracket."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.position = start
        self.repairs: set[str] = set()
        self.parts = 0
        self.repeated: str | None = None  # the first key that an object has twice
        self.is_json = (
            False  # a quoted key, a key with its colon, or a text, list or object in a list was read
        )

    def value(self) -> Any:
        """Read the value. Raises Mismatch if there is none, JsonTextError if it is nested too deeply."""
        return self._value(depth=0)

    def _value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise too_deep()
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise JsonTextError(f"it has more than {MAX_PARTS} parts; leave only the layout")
        self._skip_blanks()
        character = self._peek()
        if character == "{":
            return self._object(depth)
        if character in BRACKETS:
            return self._list(depth)
        if character in QUOTES:
            return self._string()
        return self._number() if NUMBER.match(self.text, self.position) else self._word()

    def _object(self, depth: int) -> dict[str, Any]:
        self.position += 1
        result: dict[str, Any] = {}
        repeated = None
        while not self._closes("}"):
            is_quoted = self._peek() == '"'
            key = self._string() if self._peek() in QUOTES else self._bare_key()
            self.is_json |= is_quoted
            self._skip_blanks()
            if self._peek() != ":":
                raise Mismatch
            self.position += 1
            self.is_json = True
            if repeated is None and key in result:
                repeated = key
            result[key] = self._value(depth + 1)
            self._separator("}")
        if self.repeated is None:
            self.repeated = repeated
        return result

    def _list(self, depth: int) -> list[Any]:
        end = BRACKETS[self._peek()]
        if end == ")":  # a Python tuple
            self.repairs.add(LITERALS)
        self.position += 1
        result: list[Any] = []
        while not self._closes(end):
            result.append(self._value(depth + 1))
            self.is_json |= isinstance(result[-1], (dict, list, str))
            self._separator(end)
        return result

    def _closes(self, end: str) -> bool:
        """Step past the closing bracket, if it is next."""
        self._skip_blanks()
        if self._peek() != end:
            return False
        self.position += 1
        return True

    def _separator(self, end: str) -> None:
        """Step past the comma between two parts; a comma before the closing bracket is a repair."""
        self._skip_blanks()
        if self._peek() == end:
            return
        if self._peek() != ",":
            raise Mismatch
        self.position += 1
        self._skip_blanks()
        if self._peek() == end:
            self.repairs.add(COMMAS)

    def _string(self) -> str:
        opening = self._peek()
        closing = QUOTES[opening]
        if opening != '"':
            self.repairs.add(QUOTATION)
        self.position += 1
        parts: list[str] = []
        while True:
            character = self._peek()
            if character in closing and (character not in APOSTROPHES or self._may_end_here()):
                self.position += 1
                return "".join(parts)
            if character == "\\":
                parts.append(self._escape())
                continue
            if character < " ":
                self.repairs.add(BREAKS)
            parts.append(character)
            self.position += 1

    def _may_end_here(self) -> bool:
        """Whether a comma, colon or closing bracket follows the mark, unlike an apostrophe in a word."""
        following = self.position + 1
        while following < len(self.text) and self.text[following] in BLANKS:
            following += 1
        return following == len(self.text) or self.text[following] in ",:}])#/"

    def _escape(self) -> str:
        self.position += 1
        character = self._peek()
        self.position += 1
        if character not in CODES:
            if character not in "\"'\\/" and character not in ESCAPES:
                raise Mismatch
            return ESCAPES.get(character, character)
        if character != "u":
            self.repairs.add(LITERALS)
        code = self._code(CODES[character])
        # The first half of a surrogate pair: the second half follows.
        if 0xD800 <= code < 0xDC00 and self.text.startswith("\\u", self.position):
            before = self.position
            self.position += 2
            low = self._code(CODES["u"])
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
            self.position = before
        return chr(code)

    def _code(self, digits: int) -> int:
        """The number of a character in hexadecimal digits."""
        end = self.position + digits
        match = HEX.fullmatch(self.text, self.position, end)
        if match is None or len(match[0]) < digits or int(match[0], 16) > sys.maxunicode:
            raise Mismatch(at_end=end > len(self.text))
        self.position = end
        return int(match[0], 16)

    def _number(self) -> float:
        match = cast("re.Match[str]", NUMBER.match(self.text, self.position))
        self.position = match.end()
        if JSON_NUMBER.fullmatch(match[0]) is None:
            self.repairs.add(LITERALS)
        return float(match[0])

    def _word(self) -> Any:
        match = WORD.match(self.text, self.position)
        if match is None or match[0] not in WORDS:
            raise Mismatch
        self.position = match.end()
        if match[0] not in JSON_WORDS:
            self.repairs.add(LITERALS)
        return WORDS[match[0]]

    def _bare_key(self) -> str:
        match = WORD.match(self.text, self.position)
        if match is None:
            raise Mismatch
        self.position = match.end()
        self.repairs.add(KEYS)
        return match[0]

    def _skip_blanks(self) -> None:
        """Step past white space and comments: // and # to the end of the line, /* to */."""
        text = self.text
        while self.position < len(text):
            if text[self.position] in BLANKS:
                self.position += 1
            elif text[self.position] == "#" or text.startswith("//", self.position):
                end = re.compile(r"[\n\r]").search(text, self.position)
                self.position = end.end() if end else len(text)
                self.repairs.add(COMMENTS)
            elif text.startswith("/*", self.position):
                closing = text.find("*/", self.position)
                if closing < 0:
                    raise Mismatch(at_end=True)
                self.position = closing + 2
                self.repairs.add(COMMENTS)
            else:
                return

    def _peek(self) -> str:
        if self.position >= len(self.text):
            raise Mismatch(at_end=True)
        return self.text[self.position]
