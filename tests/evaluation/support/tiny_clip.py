"""A tiny CLIP with random weights, of transformers' own classes."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

import tiny_models

SIZE = 32


def save_clip(folder: Path) -> Path:
    """Save the model and its processor to a folder, and return the folder."""
    words = tiny_models.tokenizer(folder / "words")
    layers = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    tokens = {
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**layers, **tokens, "vocab_size": len(words), "max_position_embeddings": 77},
        vision_config={**layers, "image_size": SIZE, "patch_size": 8},
        projection_dim=16,
    )
    model = CLIPModel(config)
    for parameter in model.parameters():  # larger weights, so that scores differ clearly
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    CLIPProcessor(pictures, words).save_pretrained(folder)
    return folder
