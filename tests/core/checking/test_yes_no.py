"""Strict parsing of answers: anything but a single yes or no is not a verdict."""

from __future__ import annotations

import pytest

from ifadapter_core.checking.yes_no import yes_or_no


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
