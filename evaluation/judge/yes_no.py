"""A verifier that asks a vision-language model a yes-or-no question."""

from __future__ import annotations

from PIL import Image

from ifadapter_core.checking.yes_no import yes_or_no
from ifadapter_core.language.questions import check_question

from ..vision_language import EmptyAnswerError, VisionLanguage
from .verifier import Verdict


class YesNoVerifier:
    """Asks whether the crop fits its description, with ``check_question``."""

    def __init__(self, model: VisionLanguage) -> None:
        self.name = model.name
        self._model = model

    def verify(self, crop: Image.Image, description: str) -> Verdict:
        """An empty answer counts as neither yes nor no.

        Raises AnswerError if the model fails otherwise.
        """
        try:
            answer = self._model.ask(crop, check_question(description))
        except EmptyAnswerError:
            return Verdict(None)
        return Verdict(yes_or_no(answer), answer)
