"""The demo's CLIP text encoder, trained jointly with the UNet."""

from __future__ import annotations

from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .vocabulary import LENGTH

WIDTH = 96  # channels of the hidden states


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained encoder of 0.8 M weights. Six layers provide the hidden states -2, -4 and -6."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=6,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def use_eager_attention_on_cpu(encoder: CLIPTextModel) -> None:
    """Choose the attention of the device the encoder is on; see ``plain_attention.py`` for the reason."""
    encoder.set_attn_implementation("eager" if encoder.device.type == "cpu" else "sdpa")
