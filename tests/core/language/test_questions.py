"""The questions about a picture of one instance: what they name, and what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ifadapter_core.language.questions import PROMPTS, caption_question, check_question


@pytest.mark.parametrize("description", ["kite", "a kite", "The kite", " an\nkite. "])
def test_a_caption_question_names_the_instance_once_with_an_article(description: str) -> None:
    question = caption_question(description)
    assert "with a kite in it. Describe this kite," in question
    assert question.endswith("Answer with the phrase alone.")


def test_a_caption_question_without_a_description_asks_for_the_thing_in_the_middle() -> None:
    for nothing in ("", " \n", "."):
        assert "Describe the thing in its middle" in caption_question(nothing)


def test_words_that_begin_like_an_article_are_kept() -> None:
    assert "Describe this apple," in caption_question("apple")
    assert "Describe this theatre," in caption_question("theatre")


def test_a_check_question_quotes_the_whole_description() -> None:
    question = check_question("a {green} sofa, with {category} stripes")
    assert question.startswith("Description: a {green} sofa, with {category} stripes\n")
    assert question.endswith("yes or no.")


def test_a_check_question_needs_a_description() -> None:
    with pytest.raises(ValueError, match="description is empty"):
        check_question(" ")


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_prompt_files_are_ascii_text_with_one_final_line_break(path: Path) -> None:
    text = path.read_text("ascii")
    assert text.strip() + "\n" == text
