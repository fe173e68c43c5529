"""The prompt that asks a language model for a layout. Standard library only.

Its texts are in ``prompts/``. A family of models gets boxes in the notation that it was trained on, and
a chat template where ComfyUI adds none, or one for another task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..layout import MAX_INSTANCES, Box
from .questions import PROMPTS, prompt_text

DETAILED, SHORT = "detailed", "short"
DESCRIPTIONS = (DETAILED, SHORT)
MAX_TRAINED = 10  # instances in a picture, in the training of the released weights
SQUARE = 0.3  # longer side of the example of a square thing, as a fraction of the picture
FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Notation:
    """How a language model writes a box.

    scale: number at the right and the bottom edge of the picture.
    entry: edges in that scale (x0, y0, x1, y1) and description -> the object that holds them.
    """

    scale: int
    entry: Callable[[float, float, float, float, str], dict[str, Any]]

    def number(self, fraction: float) -> float:
        """A fraction of the picture as a number of the notation."""
        return round(fraction, 2) if self.scale == 1 else round(fraction * self.scale)

    def box(self, box: Box, description: str) -> dict[str, Any]:
        x0, y0, x1, y1 = (self.number(edge) for edge in box)
        return self.entry(x0, y0, x1, y1, description)


# By the name of the file that explains them, prompts/boxes_<name>.txt.
NOTATIONS = {
    "fractions": Notation(
        1,
        lambda x0, y0, x1, y1, text: {
            "x": x0,
            "y": y0,
            "w": round(x1 - x0, 2),
            "h": round(y1 - y0, 2),
            "caption": text,
        },
    ),
    "bbox_2d": Notation(1000, lambda x0, y0, x1, y1, text: {"bbox_2d": [x0, y0, x1, y1], "label": text}),
    "box_2d": Notation(1000, lambda x0, y0, x1, y1, text: {"box_2d": [y0, x0, y1, x1], "label": text}),
}


@dataclass(frozen=True)
class Family:
    """How one family of language models is asked.

    notation: name of one of ``NOTATIONS``.
    chat: template around the prompt; "{}" where ComfyUI's tokenizer adds the chat template.
    """

    notation: str
    chat: str = "{}"


ANY_MODEL = "any model"
FAMILIES = {
    ANY_MODEL: Family("fractions"),
    "Qwen3, Qwen3-VL, Qwen3.5": Family("bbox_2d", "{}\n/no_think"),  # Qwen3's switch against reasoning
    "Gemma 3, Gemma 4": Family("box_2d"),
    # ComfyUI's template for Qwen-Image is for describing pictures; a prompt with a template replaces it.
    "Qwen of Qwen-Image or Anima": Family(
        "bbox_2d", "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    ),
    "Gemma 2 of Lumina": Family("fractions", "<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n"),
    "Ministral of Ernie": Family("fractions", "[INST]{}[/INST]"),
}


def layout_prompt(
    request: str,
    width: int,
    height: int,
    *,
    instances: int = 0,
    descriptions: str = DETAILED,
    model: str = ANY_MODEL,
) -> str:
    """Asks for a layout in a format that ``read_layout`` reads.

    request: what the picture should show, in the words of a user.
    width, height: of the picture in pixels.
    instances: number of boxes to ask for, up to ``MAX_INSTANCES``; 0 = as many as the request names.
    descriptions: their style, one of ``DESCRIPTIONS``.
    model: one of ``FAMILIES``.

    Raises ValueError for an empty request or a value out of range.
    """
    request = request.strip()
    if not request:
        raise ValueError("The request is empty. Write what the picture should show.")
    if min(width, height) < 1:
        raise ValueError(f"The picture is {width} x {height} pixels; expected at least 1 x 1.")
    if not 0 <= instances <= MAX_INSTANCES:
        raise ValueError(f"instances is {instances}; expected 0 to {MAX_INSTANCES}.")
    if descriptions not in DESCRIPTIONS:
        raise ValueError(f"descriptions is {descriptions!r}; expected one of {', '.join(DESCRIPTIONS)}.")
    if model not in FAMILIES:
        raise ValueError(f"model is {model!r}; expected one of: {'; '.join(FAMILIES)}.")
    family = FAMILIES[model]
    notation = NOTATIONS[family.notation]
    longer = max(width, height)
    fields = {
        "request": request,
        "width": width,
        "height": height,
        "shape": _shape(width, height),
        "count": _count(instances),
        "box": prompt_text(f"boxes_{family.notation}"),
        "square_width": notation.number(SQUARE * height / longer),
        "square_height": notation.number(SQUARE * width / longer),
        "description": prompt_text(f"descriptions_{descriptions}"),
        "example": example_answer(notation, descriptions),
    }
    text = FIELD.sub(lambda match: str(fields[match[1]]), prompt_text("layout"))
    return family.chat.replace("{}", text)


def _shape(width: int, height: int) -> str:
    if width == height:
        return "square"
    return "wider than high" if width > height else "higher than wide"


def _count(instances: int) -> str:
    """The rule about the number of boxes."""
    if instances:
        return f"Make exactly {instances} {'box' if instances == 1 else 'boxes'}, one for each single thing."
    return (
        "Make one box for each single thing that the request names, so that three cats get three boxes, and "
        f"for the few things that the picture needs beside them: at most {MAX_TRAINED}, unless the request "
        "names more."
    )


def example_answer(notation: Notation, descriptions: str) -> str:
    """The answer of the example, with one box a line. descriptions: one of ``DESCRIPTIONS``."""
    data = json.loads((PROMPTS / "example.json").read_text("utf-8"))
    boxes = [
        notation.box(
            Box(each["x"], each["y"], each["x"] + each["w"], each["y"] + each["h"]), each[descriptions]
        )
        for each in data["boxes"]
    ]
    lines = ",\n".join(f"  {json.dumps(box)}" for box in boxes)
    return f'{{"caption": {json.dumps(data["caption"])}, "boxes": [\n{lines}\n]}}'
