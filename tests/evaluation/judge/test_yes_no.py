"""Strict parsing of answers: anything but a single yes or no is not a verdict."""

from __future__ import annotations

import pytest
from PIL import Image

from evaluation.judge.verifier import Verdict
from evaluation.judge.yes_no import YesNoVerifier, yes_or_no
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


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("yes", True),
        ("Yes.", True),
        ("**NO**", False),
        ("'no'!", False),
        ("yes, but the dots are blue", None),
        ("no idea", None),
        ("yes no", None),
        ("The sofa is green.", None),
        ("not", None),
        ("yesno", None),
        ("1", None),
    ],
)
def test_only_a_single_yes_or_no_is_a_verdict(answer: str, verdict: bool | None) -> None:
    assert yes_or_no(answer) is verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("Yes, it does.", True),
        ("Yes, the picture shows this.", True),
        ("Yes, this image matches the description", True),
        ("No, it does not.", False),
        ("No, it doesn't.", False),
        ("No, it doesn\u2019t show this.", False),
        ("No, the image does not match the description.", False),
        ("The answer is yes.", True),
        ("**Answer:** No", False),
        ("Answer: Yes<|im_end|>", True),
        ("The kite is red.\nFinal answer: **yes**", True),
        ("<think>The kite is red, so no?</think>\n\nYes", True),
        ('{"answer": "no"}', False),
        ('```json\n{"answer": true}\n```', True),
        ("Yes, it does not.", None),
        ("No, it does.", None),
        ("Yes, it is a kite.", None),
        ("Yes, it does, but the dots are blue.", None),
        ("<think>yes", None),
        ("I'm sorry, I can't help with that.", None),
        ('{"yes": 1, "no": 0}', None),
    ],
)
def test_yes_and_no_in_other_words(answer: str, verdict: bool | None) -> None:
    assert yes_or_no(answer) is verdict


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
