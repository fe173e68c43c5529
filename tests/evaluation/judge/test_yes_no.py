"""The verifier that asks a vision-language model."""

from __future__ import annotations

import pytest
from PIL import Image

from evaluation.judge.verifier import Verdict
from evaluation.judge.yes_no import YesNoVerifier
from evaluation.vision_language import AnswerError, EmptyAnswerError

CROP = Image.new("RGB", (8, 8))


class Model:
    """Gives a fixed answer, and records the question."""

    name = "model"

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer
        self.prompt = ""

    def ask(self, picture: Image.Image, prompt: str) -> str:
        self.prompt = prompt
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_question_contains_the_description() -> None:
    model = Model("yes")
    assert YesNoVerifier(model).verify(CROP, "a {green} sofa") == Verdict(True, "yes")
    assert "a {green} sofa" in model.prompt
    assert "yes or no" in model.prompt
    assert "{description}" not in model.prompt


def test_an_empty_answer_is_no_verdict_but_a_lost_server_is_an_error() -> None:
    assert YesNoVerifier(Model(EmptyAnswerError("nothing"))).verify(CROP, "a sofa") == Verdict(None)
    with pytest.raises(AnswerError, match="gone"):
        YesNoVerifier(Model(AnswerError("gone"))).verify(CROP, "a sofa")
