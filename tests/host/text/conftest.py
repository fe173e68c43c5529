"""Both text encoders in transformers, and descriptions encoded by the nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import oracle
import reference
import small_models
from transformers_clip import (
    ACTIVATIONS,
    BEGIN,
    EMBEDDING,
    EMBEDDING_IDS,
    END,
    LAYERS,
    LENGTH,
    Encoders,
    Words,
)

BOXES = [(0.1 * i, 0.05, 0.1 * i + 0.3, 0.6) for i in range(7)]
TOLERANCE = 1e-4  # on tokens of order 1, after 32 + 4 layers


@pytest.fixture(scope="session")
def embedding(base) -> dict[str, Tensor]:
    """A textual-inversion file with two vectors per encoder, in the embeddings folder."""
    generator = torch.Generator().manual_seed(21)
    vectors = {
        name: torch.randn(len(EMBEDDING_IDS), width, generator=generator)
        for name, width in small_models.TEXT_WIDTHS.items()
    }
    save_file(vectors, base / "models" / "embeddings" / f"{EMBEDDING}.safetensors")
    return vectors


@pytest.fixture(scope="session")
def encoders(host: Path, clip: Any, embedding: dict[str, Tensor]) -> Encoders:
    models = {}
    for name, width in small_models.TEXT_WIDTHS.items():
        config = CLIPTextConfig(
            vocab_size=END + 1 + len(EMBEDDING_IDS),
            hidden_size=width,
            intermediate_size=2 * width,
            num_attention_heads=2,
            num_hidden_layers=LAYERS[name],
            hidden_act=ACTIVATIONS[name],
            max_position_embeddings=LENGTH,
            bos_token_id=BEGIN,
            eos_token_id=END,
        )
        model = CLIPTextModel(config).eval()
        given = getattr(clip.cond_stage_model, name).transformer.state_dict()
        given.pop("text_projection.weight")
        words = "text_model.embeddings.token_embedding.weight"
        given[words] = torch.cat([given[words], embedding[name]])
        wanted = {
            key if key.startswith("text_model.") else f"text_model.{key}": key for key in model.state_dict()
        }
        model.load_state_dict({wanted[key]: value for key, value in given.items()})
        models[name] = model.double()
    return Encoders(models, CLIPTokenizer.from_pretrained(host / "comfy" / "sd1_tokenizer"))


@pytest.fixture(scope="session")
def encode(node, ifadapter, clip) -> Callable[..., Any]:
    """encode(descriptions) -> the nodes' instance tokens, in the boxes BOXES."""

    def run(descriptions: Sequence[str], used_clip: Any = clip, **switches: bool) -> Any:
        boxes = [
            {"type": "obj", "bbox": [1000 * y0, 1000 * x0, 1000 * y1, 1000 * x1]}
            for x0, y0, x1, y1 in BOXES[: len(descriptions)]
        ]
        layout = node(
            "IFAdapterLayout", layout=json.dumps(list(descriptions)), width=640, height=480, boxes=boxes
        )[0]
        return node("IFAdapterEncode", ifadapter=ifadapter, clip=used_clip, layout=layout, **switches)[0]

    return run


@pytest.fixture(scope="session")
def check(encode, encoders, checkpoint) -> Callable[[Sequence[str], Sequence[Words]], None]:
    """check(descriptions, texts) compares the nodes' tokens with the reference for words and weights."""
    weights = reference.double(checkpoint)

    def run(descriptions: Sequence[str], texts: Sequence[Words]) -> None:
        got = encode(descriptions)
        boxes = torch.tensor(BOXES[: len(descriptions)], dtype=torch.float64)
        with torch.no_grad():
            phrases = encoders.phrases(texts)
        cond, uncond = (
            reference.instance_tokens(weights, *phrases, boxes),
            reference.null_tokens(weights, *phrases, boxes),
        )
        assert got.cond.dtype == got.uncond.dtype == torch.float32
        assert 0.5 < cond.std() < 3
        assert oracle.max_difference(got.cond, cond) <= TOLERANCE
        assert oracle.max_difference(got.uncond, uncond) <= TOLERANCE

    return run
