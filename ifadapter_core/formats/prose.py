"""What the text around the JSON says about the layout, and is not read. Standard library only.

``web/formats/prose.js`` is the twin.
"""

from __future__ import annotations

import re

from ..layout import LayoutError

FLAGS = re.IGNORECASE | re.ASCII  # ASCII: as in JavaScript
# A key of a layout with a value, such as "caption: a kitchen".
STATED = re.compile(
    r"\b(units?|caption|prompt|width|height)[\"'\u201d\u2019*`]*[ \t]*[:=][ \t*`]*[\"'\u201c\u2018a-z0-9]",
    FLAGS,
)
UNIT_WORDS = re.compile(r"\b(pixels?|percent|fractions?|thousandths|normali[sz]ed)\b", FLAGS)


def notices_about(around: str, units: str | None) -> list[str]:
    """What the text around the JSON says, and is not read.

    units: those that the JSON or the user states. Raises LayoutError if only the text states some.
    """
    keys = _words(STATED, around)
    if units is None and any(key in ("unit", "units") for key in keys):
        raise LayoutError(
            "The text around the JSON states units, which the JSON does not. Write them into it, such as "
            '{"units": "pixels", "boxes": [..]}, or choose them as the node\'s units.'
        )
    notices = []
    if keys:
        notices.append(
            f"The text around the JSON states {', '.join(keys)}, which was not read. Write it into the JSON."
        )
    elif units is None and (words := _words(UNIT_WORDS, around)):
        notices.append(
            f"The text around the JSON mentions {', '.join(words)}, but the JSON states no units: its "
            "numbers were read as its format says."
        )
    return notices


def _words(expression: re.Pattern[str], text: str) -> list[str]:
    return list(dict.fromkeys(match[1].lower() for match in expression.finditer(text)))
