"""The host's Generate Text with random weights, and what its tokenizers make of the prompts."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch

REQUEST = {
    "request": "a cat (asleep) {and} a teapot",
    "width": 128,
    "height": 64,
    "instances": 2,
    "descriptions": "short",
}
SAMPLED = {"sampling_mode": "on", "temperature": 1.0, "seed": 1}


def generate(clip: Any, prompt: str, image: torch.Tensor | None = None) -> str:
    from comfy_extras.nodes_textgen import TextGenerate

    return TextGenerate.execute(clip, prompt, 8, SAMPLED, image=image).result[0]


def decoded(tokenizer: Any, prompt: str) -> str:
    """The text that the model gets, with its special tokens."""
    tokens = tokenizer.tokenize_with_weights(prompt, min_length=1, thinking=False)
    (row,) = next(iter(tokens.values()))
    return tokenizer.decode([token for token, _ in row], skip_special_tokens=False)


@pytest.fixture(scope="module")
def qwen3_vl() -> Any:
    from small_models_pack import language_models

    return language_models.qwen3_vl()


def test_random_text_is_an_error_of_the_layout(node):
    from small_models_pack import language_models

    (prompt,) = node("IFAdapterLayoutPrompt", **REQUEST, model="any model")
    text = generate(language_models.qwen3(), prompt)
    assert text.strip()
    with pytest.raises(ValueError, match="layout_text: The layout cannot be read as JSON"):
        node("IFAdapterLayout", layout="", width=128, height=64, layout_text=text)


def test_a_question_is_answered_for_each_crop(node, qwen3_vl):
    """The picture reaches the model: other pictures, other texts."""
    crops = [torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    texts = [generate(qwen3_vl, "Describe it.", crop) for crop in crops]
    assert len({*texts, generate(qwen3_vl, "Describe it.")}) == 3
    boxes = [[{"x": 0, "y": 0, "width": 64, "height": 64, "label": "cat"}] * 2]
    layout, _ = node("IFAdapterCaptions", captions=texts, boxes=[boxes], width=[64], height=[64])
    assert len(layout.instances) == 2


@pytest.mark.parametrize(
    ("model", "module", "name"),
    [
        ("any model", "z_image", "ZImageTokenizer"),
        ("Qwen3, Qwen3-VL, Qwen3.5", "z_image", "ZImageTokenizer"),
        ("Qwen3, Qwen3-VL, Qwen3.5", "flux", "KleinTokenizer"),
        ("Qwen of Qwen-Image or Anima", "qwen_image", "QwenImageTokenizer"),
    ],
)
def test_the_model_gets_the_whole_prompt_in_one_chat_template(node, model, module, name):
    tokenizer = getattr(importlib.import_module(f"comfy.text_encoders.{module}"), name)()
    (prompt,) = node("IFAdapterLayoutPrompt", **REQUEST, model=model)
    text = decoded(tokenizer, prompt)
    assert prompt.strip() in text
    assert text.count("<|im_start|>user\n") == text.count("<|im_start|>assistant\n") == 1
    assert "<|im_start|>system" not in text


def test_anima_gets_a_chat_template_which_the_host_does_not_add(node):
    from comfy.text_encoders.anima import AnimaTokenizer

    request = {**REQUEST, "request": "a cat and a teapot"}  # its tokenizer takes parentheses for weights
    (prompt,) = node("IFAdapterLayoutPrompt", **request, model="Qwen of Qwen-Image or Anima")
    assert decoded(AnimaTokenizer(), prompt) == prompt
    assert prompt.startswith("<|im_start|>user\n")


def test_qwen3_vl_gets_the_prompt_in_one_chat_template(node, qwen3_vl):
    (prompt,) = node("IFAdapterLayoutPrompt", **REQUEST, model="Qwen3, Qwen3-VL, Qwen3.5")
    text = decoded(qwen3_vl.tokenizer, prompt)
    assert prompt in text
    assert text.count("<|im_start|>") == 2
