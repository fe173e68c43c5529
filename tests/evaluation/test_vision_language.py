"""Local vision-language models: the real classes of transformers on tiny random models."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from evaluation.vision_language import MAX_ANSWER_TOKENS, AnswerError, LocalModel

WORDS = [
    "a",
    "small",
    "red",
    "kite",
    "with",
    "white",
    "dots",
    "on",
    "green",
    "grass",
    "under",
    "grey",
    "sky",
    "and",
    "one",
    "blue",
    "tail",
    "of",
    "paper",
    "what",
    "is",
    "this",
    "?",
]
MARKS = [
    "<pad>",
    "<end>",
    "<image>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == "
    "'image' %}IMAGE "
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate([*MARKS, *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {
        "pad_token": "<pad>",
        "eos_token": "<end>",
        "unk_token": "?",
        "additional_special_tokens": MARKS[2:],
    }
    return PreTrainedTokenizerFast(tokenizer_object=words, padding_side="left", **special)


def save_llava(folder: Path) -> None:
    from transformers import CLIPImageProcessorPil, LlavaProcessor

    words = tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=16,
    )
    text = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    image = words.convert_tokens_to_ids("<image>")
    torch.manual_seed(0)
    LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=image, vision_feature_layer=-1)
    ).save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
        ),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    ).save_pretrained(folder)


def save_qwen(folder: Path) -> None:
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessorPil,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tokenizer()
    ids = {
        f"{name}_token_id": words.convert_tokens_to_ids(mark)
        for name, mark in zip(("vision_start", "vision_end", "image", "video"), MARKS[3:], strict=True)
    }
    vision = {
        "depth": 2,
        "embed_dim": 16,
        "hidden_size": 16,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
    }
    text = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
        "bos_token_id": None,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [1, 1, 2],
        },
    }
    torch.manual_seed(0)
    Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
    ).save_pretrained(folder)
    size = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessorPil(size=size),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE.replace("IMAGE", "<|vision_start|> <|image_pad|> <|vision_end|>"),
    ).save_pretrained(folder)


no_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="Qwen-VL's processors need torchvision"
)


@pytest.fixture(
    scope="module",
    params=[save_llava, pytest.param(save_qwen, marks=no_torchvision)],
    ids=["LLaVA", "Qwen2-VL"],
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = tmp_path_factory.mktemp("vl")
    request.param(folder)
    return LocalModel(str(folder))


def picture(shade: int) -> Image.Image:
    return (
        Image.linear_gradient("L").resize((60, 40)).point(lambda value: (value * shade) % 256).convert("RGB")
    )


def test_answers_are_deterministic_text(model: LocalModel) -> None:
    answer = model.ask(picture(1), "what is this ?")
    assert model.ask(picture(1), "what is this ?") == answer
    assert 0 < len(answer.split()) <= MAX_ANSWER_TOKENS
    assert set(answer.split()) <= set(WORDS)


def test_answers_depend_on_picture_and_question(model: LocalModel) -> None:
    answers = {
        model.ask(picture(shade), question)
        for shade in (1, 3, 7)
        for question in ("what is this ?", "a red kite", "grass")
    }
    assert len(answers) > 3


def test_an_empty_answer_is_an_error(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model._model.generation_config, "max_new_tokens", 1)
    monkeypatch.setattr(
        model._model,
        "generate",
        lambda input_ids, **_: torch.cat([input_ids, torch.tensor([[1]])], dim=1),
    )
    with pytest.raises(AnswerError, match="gave an empty answer to 'what'"):
        model.ask(picture(1), "what")
