"""A vision-language model that is asked whether a crop fits a description, and may say yes or no."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from ..vision_language import NothingSaidError, VisionLanguage
from .verifier import Verdict

PROMPT = Path(__file__).parent / "prompts" / "fits.txt"


class YesNoVerifier:
    """The question is that of ``prompts/fits.txt``, with the description in the place of {description}."""

    def __init__(self, model: VisionLanguage) -> None:
        self.name = model.name
        self._model = model
        self._prompt = PROMPT.read_text("utf-8").strip()

    def verify(self, crop: Image.Image, description: str) -> Verdict:
        try:
            answer = self._model.ask(crop, self._prompt.replace("{description}", description))
        except NothingSaidError:
            return Verdict(None)
        return Verdict(yes_or_no(answer), answer)


def yes_or_no(answer: str) -> bool | None:
    """The answer, if it is one of the two words by itself, however written; else None."""
    word = re.sub(r"[^\w\s]", "", answer).strip().lower()
    return {"yes": True, "no": False}.get(word)
