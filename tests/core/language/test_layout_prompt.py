"""The prompt for a layout: what it asks for, and that its example is a layout."""

from __future__ import annotations

import itertools
import json

import pytest

from ifadapter_core.language.layout_prompt import (
    ANY_MODEL,
    DESCRIPTIONS,
    FAMILIES,
    SHORT,
    layout_prompt,
)
from ifadapter_core.language.questions import PROMPTS
from ifadapter_core.layout_formats import read_layout

REQUEST = "a cat and a teapot on a table"
EXAMPLE = json.loads((PROMPTS / "example.json").read_text("utf-8"))


def example_of(prompt: str) -> str:
    return prompt[prompt.index('{"caption"') : prompt.rindex("]}") + 2]


@pytest.mark.parametrize(("model", "descriptions"), itertools.product(FAMILIES, DESCRIPTIONS))
def test_the_example_of_every_prompt_is_read_without_repairs(model: str, descriptions: str) -> None:
    prompt = layout_prompt(REQUEST, 1024, 768, descriptions=descriptions, model=model)
    layout, notices = read_layout(example_of(prompt), 1024, 768)
    assert notices == ()
    assert layout.caption == EXAMPLE["caption"]
    assert layout.local_descriptions == [box[descriptions] for box in EXAMPLE["boxes"]]
    for box, wanted in zip(layout.boxes, EXAMPLE["boxes"], strict=True):
        edges = (wanted["x"], wanted["y"], wanted["x"] + wanted["w"], wanted["y"] + wanted["h"])
        assert box == pytest.approx(edges, abs=1e-9)


@pytest.mark.parametrize("model", FAMILIES)
def test_a_model_that_repeats_the_request_before_its_answer_is_read(model: str) -> None:
    prompt = layout_prompt(REQUEST, 512, 512, model=model)
    answer = f"<think>Request: {REQUEST}</think>Here it is:\n```json\n{example_of(prompt)}\n```\nEnjoy!"
    assert len(read_layout(answer, 512, 512).layout.instances) == len(EXAMPLE["boxes"])


@pytest.mark.parametrize("model", FAMILIES)
def test_the_prompt_states_request_canvas_and_number(model: str) -> None:
    prompt = layout_prompt(REQUEST, 1536, 1024, instances=7, model=model)
    assert f"Request: {REQUEST}\n" in prompt
    assert "1536 pixels wide and 1024 pixels high, wider than high." in prompt
    assert "Make exactly 7 boxes" in prompt
    assert "{width}" not in prompt


def test_zero_instances_leave_the_number_to_the_model() -> None:
    prompt = layout_prompt(REQUEST, 64, 64)
    assert "exactly" not in prompt
    assert "each single thing that the request names" in prompt


def test_one_box_is_asked_for_in_the_singular() -> None:
    assert "Make exactly 1 box," in layout_prompt(REQUEST, 64, 64, instances=1)


@pytest.mark.parametrize(
    ("width", "height", "words", "square"),
    [
        (1024, 1024, "square", "0.3 high is 0.3 wide"),
        (1536, 1024, "wider than high", "0.3 high is 0.2 wide"),
        (1024, 2048, "higher than wide", "0.15 high is 0.3 wide"),
    ],
)
def test_the_prompt_explains_the_proportions(width: int, height: int, words: str, square: str) -> None:
    prompt = layout_prompt(REQUEST, width, height)
    assert f", {words}." in prompt
    assert square in prompt


def test_numbers_are_whole_thousandths_for_models_trained_on_them() -> None:
    for model in ("Qwen3, Qwen3-VL, Qwen3.5", "Gemma 3, Gemma 4"):
        prompt = layout_prompt(REQUEST, 1536, 1024, model=model)
        assert "300 high is 200 wide" in prompt
        assert "thousandths" in prompt


def test_short_descriptions_have_a_short_example() -> None:
    prompt = layout_prompt(REQUEST, 64, 64, descriptions=SHORT)
    assert "2 to 6 words" in prompt
    assert all(len(box[SHORT].split()) <= 6 for box in EXAMPLE["boxes"])
    assert all(10 <= len(box["detailed"].split()) <= 25 for box in EXAMPLE["boxes"])


@pytest.mark.parametrize("model", FAMILIES)
def test_requests_are_not_templates(model: str) -> None:
    request = "a sign with {width} and {} and {count} on it"
    assert request in layout_prompt(request, 1024, 768, model=model)


@pytest.mark.parametrize("model", FAMILIES)
def test_the_prompt_has_no_parentheses_which_some_tokenizers_take_for_weights(model: str) -> None:
    assert not set("()") & set(layout_prompt(REQUEST, 1024, 768, model=model))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"request": " \n"}, "request is empty"),
        ({"width": 0}, "0 x 64 pixels"),
        ({"instances": 101}, "instances is 101; expected 0 to 100"),
        ({"instances": -1}, "instances is -1"),
        ({"descriptions": "long"}, "expected one of detailed, short"),
        ({"model": "T5"}, "expected one of: any model; Qwen3"),
    ],
)
def test_wrong_values_are_named(changes: dict, message: str) -> None:
    values = {"request": REQUEST, "width": 64, "height": 64, "model": ANY_MODEL, **changes}
    with pytest.raises(ValueError, match=message):
        layout_prompt(**values)
