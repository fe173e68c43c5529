"""Misspelt keys: those that are almost a key that is read. Standard library only.

``web/formats/misspelt.js`` is the twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os.path import commonprefix
from typing import Any

from .comfyui import is_box
from .fields import first_named, has_value, shown
from .ignored import ELEMENT_PROMPT

NAMES_OF_LAYOUT = ("caption", "prompt", "global_caption", "width", "height", "units")
NAMES_OF_IMAGE = ("width", "height")  # beside Roboflow's "predictions"
NAMES_OF_BOX = ("caption", "description", "strength", "hidden")
OTHER_WORDS = ("weight", "unity", "unite")  # almost a name, but with a meaning of their own
REFUSED = "unit"  # an error of its own says how to call it
BOX_LISTS = ("boxes", "annotations", "annos", "predictions")


def misspelt_notice(data: Any) -> list[str]:
    """A notice that names the misspelt keys of a layout and its boxes, if there are any.

    data: a layout, a list of boxes or one box; parsed JSON or values of a link.
    """
    said = []
    is_one = is_box(data) and not any(key in data for key in (*BOX_LISTS, ELEMENT_PROMPT))
    if isinstance(data, dict) and not is_one:
        said += [_suggestion(*pair) for pair in _misspelt(data, NAMES_OF_LAYOUT)]
        image = data.get("image") if "predictions" in data else None
        said += [_suggestion(*pair, " of the image") for pair in _misspelt(image, NAMES_OF_IMAGE)]
    numbers: dict[tuple[str, str], list[str]] = {}
    for number, box in enumerate([data] if is_one else _boxes_of(data), 1):
        for pair in _misspelt(box, NAMES_OF_BOX):
            numbers.setdefault(pair, []).append(str(number))
    for pair, named in numbers.items():
        said.append(_suggestion(*pair, f" of box {first_named(named)}"))
    return [f"Keys that are not read, as they seem misspelt: {first_named(said)}."] if said else []


def _boxes_of(data: Any) -> list:
    """The boxes of a layout, of a list or of a list with one frame; none if they are not in a list."""
    if isinstance(data, list):
        return data[0] if len(data) == 1 and isinstance(data[0], list) else data
    if not isinstance(data, dict):
        return []
    prompt = data.get(ELEMENT_PROMPT)
    lists = [
        *(data.get(key) for key in BOX_LISTS),
        prompt.get("elements") if isinstance(prompt, dict) else None,
    ]
    return next((boxes for boxes in lists if isinstance(boxes, list)), [])


def _misspelt(data: Any, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each key with a value that is almost one of the names, and that name, if it has no value itself."""
    for key in data if isinstance(data, dict) else ():
        name = next((name for name in names if isinstance(key, str) and _is_almost(key, name)), None)
        if name is not None and has_value(data[key]) and not has_value(data.get(name)):
            yield key, name


def _is_almost(key: str, name: str) -> bool:
    """Whether a key differs from a name in its case, in one letter or in the order of two neighbours."""
    if len(key) > len(name) + 1 or key in (name, REFUSED) or key.lower() in OTHER_WORDS:
        return False
    key = key.lower()
    same = len(commonprefix([key, name]))
    key, name = key[same:], name[same:]
    swapped = name[1::-1] + name[2:]
    return key[1:] in (name[1:], name) or key in (name[1:], swapped)


def _suggestion(key: str, name: str, place: str = "") -> str:
    return f'{shown(key)}{place} (did you mean "{name}"?)'
