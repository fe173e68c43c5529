"""A verifier that asks a vision-language model a yes-or-no question."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from ..vision_language import EmptyAnswerError, VisionLanguage
from .verifier import Verdict

PROMPT = Path(__file__).parent / "prompts" / "fits.txt"


class YesNoVerifier:
    """Asks the question in ``prompts/fits.txt``, with ``{description}`` replaced by the description."""

    def __init__(self, model: VisionLanguage) -> None:
        self.name = model.name
        self._model = model
        self._prompt = PROMPT.read_text("utf-8").strip()

    def verify(self, crop: Image.Image, description: str) -> Verdict:
        """An empty answer counts as neither yes nor no.

        Raises AnswerError if the model fails otherwise.
        """
        try:
            answer = self._model.ask(crop, self._prompt.replace("{description}", description))
        except EmptyAnswerError:
            return Verdict(None)
        return Verdict(yes_or_no(answer), answer)


def yes_or_no(answer: str) -> bool | None:
    """True or False if the answer is just yes or no, in any case and punctuation; else None."""
    word = re.sub(r"[^\w\s]", "", answer).strip().lower()
    return {"yes": True, "no": False}.get(word)
