"""A verifier that asks a vision-language model a yes-or-no question."""

from __future__ import annotations

import re

from PIL import Image

from ifadapter_core.language.answers import plain_text
from ifadapter_core.language.questions import check_question

from ..vision_language import EmptyAnswerError, VisionLanguage
from .verifier import Verdict

# Words of an answer, in lower case and without punctuation. Only repetitions of the question may follow.
SUBJECT = r"(?:it|this|that|(?:the|this) (?:picture|image|photo|crop))"
OBJECT = r"(?: (?:it|this|that|the description))?"
YES = re.compile(rf"(?:the answer is )?yes(?: {SUBJECT} (?:does|is|(?:shows|fits|matches){OBJECT}))?")
NO = re.compile(
    rf"(?:the answer is )?no(?: {SUBJECT} (?:does|is)(?:nt| not)(?: (?:show|fit|match){OBJECT})?)?"
)


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


def yes_or_no(answer: str) -> bool | None:
    """True or False if the answer only says yes or no, also as "Yes, it does."; else None."""
    words = " ".join(re.sub(r"[^\w\s]", "", plain_text(answer).lower()).split())
    return True if YES.fullmatch(words) else False if NO.fullmatch(words) else None
