"""Random changes of layout texts: as language models write them, and damaged ones."""

from __future__ import annotations

import json
import random

PUNCTUATION = '{}[]":,'
PROSE = (
    "Here is the layout:",
    "I placed {2} objects [1], see below.",
    "It's 50% done // really",
    "# Layout",
    "<b>bold</b>",
    "\u201cquoted\u201d",
    "...",
)
BITS = (
    *"{}[](),:\"'`#/\\-+.0e%$x \n\t\x00\x1c\x85\xa0\u2028\ufeff",
    *"\u201c\u201d\u2018\u2019\u201e\xe9\U0001f600\ud83d",
    "//",
    "/*",
    "*/",
    "\\u",
    "\\ud83d",
    "\\x41",
    "\\n",
    "```",
    "```json",
    "<think>",
    "</think>",
    "True",
    "None",
    "NaN",
    "-Infinity",
    "1e5",
    ".5",
    "+3",
    "007",
    "5%",
    "caption",
    "__proto__",
    "'s",
    '{"a":1}',
    "[1]",
    "null",
)


def structure(text: str) -> list[int]:
    """Positions of the punctuation of JSON outside of strings, quotation marks included."""
    positions, inside, escaped = [], False, False
    for position, character in enumerate(text):
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
                positions.append(position)
        elif character in PUNCTUATION:
            positions.append(position)
            inside = character == '"'
    return positions


def reworded(rng: random.Random, text: str) -> str:
    """A valid layout text in the style of another author, with the same meaning."""
    kind = rng.randrange(9)
    if kind == 0:
        return f"```{rng.choice(('', 'json', 'JSON5'))}\n{text}\n```"
    if kind == 1:
        return f"{rng.choice(PROSE)}\n{text}\n{rng.choice(PROSE)}"
    if kind == 2:
        return f"<think>{rng.choice(PROSE)} {text[: rng.randrange(len(text))]}</think>{text}"
    if kind == 3:
        return "\ufeff" + text
    if kind == 4:
        return json.dumps(text, ensure_ascii=rng.random() < 0.5)
    if kind == 5:
        return str(json.loads(text))  # Python literals
    positions = structure(text)
    if kind == 6:  # trailing commas
        closing = [position for position in positions if text[position] in "}]"]
        position = rng.choice(closing) if closing else len(text)
        return f"{text[:position]},{text[position:]}"
    if kind == 7:
        commas = [position for position in positions if text[position] == ","]
        position = rng.choice(commas) + 1 if commas else 0
        return text[:position] + rng.choice(("/* a */", "// a\n", "# a\n", "\n")) + text[position:]
    return "".join(
        "'" if index in set(positions) and text[index] == '"' else text[index] for index in range(len(text))
    )


def damaged(rng: random.Random, text: str) -> str:
    """A copy with punctuation removed, doubled or replaced, parts swapped or the end cut off; not empty."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        positions = structure(text)
        if not positions:
            return text
        at = rng.choice(positions)
        changed = (
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
            text[:at] + rng.choice(PUNCTUATION) + text[at + 1 :],
            text[:at],
            text[at:] + text[:at],
        )
        text = rng.choice(changed) or text
    return text


def scrambled(rng: random.Random, text: str) -> str:
    """A copy with random bits inserted or in place of others, or parts of it repeated."""
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(text) + 1)
        kind = rng.randrange(5)
        if kind < 2:
            text = text[:at] + rng.choice(BITS) + text[at:]
        elif kind == 2:
            text = text[:at] + text[at + rng.randint(1, 3) :]
        elif kind == 3:
            text = text[:at] + rng.choice(BITS) + text[at + 1 :]
        else:
            text = rng.choice((text[:at], text + rng.choice(BITS) + text[:at]))
    return text
