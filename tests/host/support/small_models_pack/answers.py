"""Answers as language models write them: with reasoning, introductions, fences and Markdown."""

from __future__ import annotations

import torch

COLOURS = ("red", "green", "blue")
LAYOUTS = {
    '"x", "y", "w", "h"': '{"x": 0.125, "y": 0.25, "w": 0.5, "h": 0.5, "caption": "a ginger cat"}',
    '"bbox_2d": [x0': '{"bbox_2d": [125, 250, 625, 750], "label": "a ginger cat"}',
    '"box_2d": [ymin': '{"box_2d": [250, 125, 750, 625], "label": "a ginger cat"}',
}


def answer(prompt: str, image: torch.Tensor | None = None) -> str:
    """Like a good language model's: a layout, yes, or a description that names the picture's colour."""
    if "Plan the layout" in prompt:
        (box,) = (box for notation, box in LAYOUTS.items() if notation in prompt)
        return (
            'Okay, the user wants {"boxes": []} filled.\n</think>\n\nHere is the layout:\n'
            f'```json\n{{"caption": "a cat at home", "boxes": [{box},]}}\n```\nI placed the cat to the left.'
        )
    colour = "grey" if image is None else COLOURS[int(image.mean(dim=(0, 1, 2)).argmax())]
    if "yes or no" in prompt:
        return f"<think>Is it {colour}?</think>**Answer:** {'Yes' if colour in prompt else 'No'}."
    return f'Sure! Here is a description:\n\n"a {colour}\nthing"<|im_end|>'
