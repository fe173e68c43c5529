"""Layout Prompt and Captions: the outputs of the nodes, and what the layout node makes of them."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from layouts import CANVAS, OWN_FORMAT, WORDS

BOXES = [
    [
        {"x": 0, "y": 0, "width": 64, "height": 32, "label": "cat", "score": 0.9},
        {"x": 64, "y": 32, "width": 64, "height": 32, "label": "dog", "score": 0.8},
    ]
]
REQUEST = {"width": 128, "height": 64, "instances": 2, "descriptions": "short", "model": "any model"}


def test_the_prompt_asks_for_the_request_and_its_example_is_a_layout(node):
    (prompt,) = node("IFAdapterLayoutPrompt", request="a cat and a dog", **REQUEST)
    assert "Request: a cat and a dog" in prompt
    assert "128 pixels wide and 64 pixels high" in prompt
    layout = node("IFAdapterLayout", layout=prompt[prompt.index('{"caption"') :], width=128, height=64)[0]
    assert len(layout.instances) == 4


def test_an_empty_request_is_an_error(node):
    with pytest.raises(ValueError, match="request is empty"):
        node("IFAdapterLayoutPrompt", request=" ", **REQUEST)


def test_captions_of_boxes_are_a_layout_of_the_pictures_size(node, caplog):
    answers = ["<think>What is it?</think>\n**Answer:** a ginger cat", "I'm sorry, I can't help."]
    with caplog.at_level(logging.WARNING):
        layout, text = node(
            "IFAdapterCaptions",
            captions=answers,
            boxes=[BOXES],
            image=[torch.zeros(1, 64, 128, 3)],
            width=[1024],
            height=[1024],
            caption=['"two pets"'],
            bbox_format=["xywh"],
        )
    assert layout.prompt == "two pets, a ginger cat, dog"
    assert (layout.width, layout.height) == (128, 64)
    assert [tuple(box) for box in layout.boxes] == [(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)]
    assert "IFAdapter Captions: The caption of box 2 is no description" in caplog.text
    assert {key: json.loads(text)[key] for key in ("width", "height")} == {"width": 128, "height": 64}
    assert node("IFAdapterLayout", layout=text, width=128, height=64)[0] == layout


def test_a_layout_text_for_other_proportions_is_read_with_a_notice(node, caplog):
    _, text = node("IFAdapterCaptions", captions=["a cat", "a dog"], boxes=[BOXES], width=[128], height=[64])
    with caplog.at_level(logging.WARNING):
        node("IFAdapterLayout", layout=text, width=128, height=128)
    assert "The layout was made for 128 x 64" in caplog.text


def test_captions_of_a_layout_keep_its_size(node):
    layout = node("IFAdapterLayout", layout=json.dumps(OWN_FORMAT), **CANVAS)[0]
    captioned, _ = node("IFAdapterCaptions", captions=["a chair", ""], layout=[layout], width=[64])
    assert captioned.local_descriptions == ["a chair", WORDS[1]]
    assert (captioned.boxes, captioned.width, captioned.caption) == (
        layout.boxes,
        layout.width,
        layout.caption,
    )


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Neither boxes nor a layout"),
        ({"boxes": [BOXES], "captions": ["a cat"]}, "1 caption for 2 boxes"),
        ({"boxes": [BOXES], "image": [torch.zeros(2, 8, 8, 3)]}, "2 pictures are linked"),
        ({"boxes": [BOXES], "width": [64, 128]}, "width got a list of 2 values"),
    ],
)
def test_wrong_links_are_errors(node, inputs, message):
    with pytest.raises(ValueError, match=message):
        node("IFAdapterCaptions", **{"captions": ["a cat", "a dog"], **inputs})
