"""Answers of vision-language models: their wrapping is removed, and refusals are no descriptions."""

from __future__ import annotations

import pytest

from ifadapter_core.language.answers import MAX_DESCRIPTION, description_of

WRAPPED = [
    "a red kite",
    ' "a red\nkite" ',
    "<think>Is it a cat? No.</think>\n\na red kite",
    "<THINKING>Is it\na cat?</THINKING>a red kite",
    "It may be a cat.\n</think>\na red kite",  # the prompt had the opening tag
    "a red kite<|im_end|>",
    "a red kite</s>",
    "a red kite<end_of_turn>\n<start_of_turn>user\nAnd now?",
    "<|im_start|>assistant\na red kite<|im_end|>\n<|im_start|>user\nAnd now?<|im_end|>",
    "ASSISTANT: a red kite",
    "<|begin_of_box|>a red kite<|end_of_box|>",
    "<answer>a red kite</answer>",
    "**Answer:** a red kite",
    "**Answer**: a red kite",
    "Final answer: **a red kite**",
    "The picture shows a toy.\n\n**Answer:** a red kite",
    "### Description\nDescription of the kite: a red kite",
    "Sure! Here's a description of the kite:\n\na red kite",
    "```\na red kite\n```",
    '{"answer": "a red kite"}',
    '{"confidence": 1, "description": "a red kite"}',
    '```json\n{"phrase": "a red kite"}\n```',
    '[{"caption": "a red kite"}]',
    'Answer: {"text": "a red kite"}',
    "a red\x1b kite\x00",
    "\u300ca red kite\u300d",
    "\u63cf\u8ff0\uff1aa red kite",  # Chinese: description
    "**\u56de\u7b54:** a red kite",  # Chinese: answer
    "\u8aac\u660e\uff1a\u300ca red kite\u300d",  # Japanese: description
]

NO_DESCRIPTIONS = [
    "",
    "<think>It may be a cat, or",  # cut off
    "<|endoftext|>",
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, I can\u2019t assist.",
    "I am unable to see the picture.",
    "I cannot identify people.",
    "Sorry, I can't.",
    "Unfortunately, the picture is too dark.",
    "As an AI language model, I cannot see.",
    "<think>Who is it?</think>I'm not able to say.",
    "Answer: I cannot say.",
    '{"answer": "I\'m sorry"}',
    "None",
    "N/A",
    "There is no kite in the picture.",
    "There aren't any kites.",
    "Yes.",  # to another question
    "**Answer:** No",
    "\u62b1\u6b49\uff0c\u6211\u65e0\u6cd5\u63cf\u8ff0\u3002",  # Chinese: sorry, I cannot
    "\u6211\u65e0\u6cd5\u8bc6\u522b\u3002",  # Chinese: I cannot
    "\u7533\u3057\u8a33\u3042\u308a\u307e\u305b\u3093\u3002",  # Japanese: sorry
    '{"description": "a red',  # cut off
    '{"boxes": [[1, 2, 3, 4], [5, 6, 7, 8]]}',
    '["a red kite", "a blue kite"]',
    "[" * 200_000,
    "a red kite " * MAX_DESCRIPTION,
]


@pytest.mark.parametrize("answer", WRAPPED)
def test_a_description_is_unwrapped(answer: str) -> None:
    assert description_of(answer) == "a red kite"


@pytest.mark.parametrize("answer", NO_DESCRIPTIONS, ids=lambda answer: answer[:30])
def test_refusals_and_cut_off_answers_are_no_descriptions(answer: str) -> None:
    assert description_of(answer) == ""


@pytest.mark.parametrize(
    "text",
    [
        'a sign that says "Answer: 42" in red',
        "a none-too-clean I-beam, unknown to me",
        "a boy's kite with a no-parking sign",
        "an old map: a river, two towns",
        "A caption below a picture of 3 < 5 sheep",
        '"a red kite" and "a blue kite"',
        "yes-or-no buttons on a desk",
        "\u4e00\u53ea\u6a59\u8272\u7684\u732b",  # Chinese: a ginger cat
    ],
)
def test_descriptions_stay_as_they_are(text: str) -> None:
    assert description_of(text) == text


@pytest.mark.parametrize(
    "part", ["<think>", "</think>", "</s>", "<|", "\n", "# ", "```", "answer:\n", "[INST]"]
)
def test_long_answers_take_linear_time(part: str) -> None:
    """An answer may be as long as a response; quadratic time would be hours."""
    assert description_of(part * (2**20 // len(part)) + "\nno ") in ("no", "")
