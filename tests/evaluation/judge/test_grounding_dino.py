"""Grounding DINO: the real classes of transformers on a tiny random model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    BertConfig,
    BertTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    SwinConfig,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)

from evaluation.judge.grounding_dino import GroundingDino, model_prompt

PICTURE = Image.effect_noise((96, 64), 90).convert("RGB")
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    ",",
    "?",
    "a",
    "green",
    "sofa",
    "with",
    "white",
    "stripes",
    "lamp",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dino")
    (path / "vocab.txt").write_text("\n".join(WORDS))
    words = BertTokenizerFast(
        vocab={word: number for number, word in enumerate(WORDS)},
        vocab_file=str(path / "vocab.txt"),
    )
    vision = SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_indices=[2, 3, 4],
    )
    text = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    config = GroundingDinoConfig(
        backbone_config=vision,
        text_config=text,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=20,
        max_text_len=32,
    )
    torch.manual_seed(0)
    GroundingDinoForObjectDetection(config).save_pretrained(path)
    images = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(image_processor=images, tokenizer=words).save_pretrained(path)
    return path


def test_each_phrase_is_detected_separately(folder: Path) -> None:
    phrases = ["a green sofa with white stripes", "a lamp"]
    found = GroundingDino(str(folder), threshold=0.0).detect(PICTURE, phrases)
    assert {detection.phrase for detection in found} == {0, 1}
    assert len(found) == 2 * 20
    alone = GroundingDino(str(folder), threshold=0.0).detect(PICTURE, phrases[1:])
    assert [(detection.box, detection.score) for detection in found if detection.phrase == 1] == [
        (one.box, one.score) for one in alone
    ]


def test_boxes_are_in_pixels_of_the_picture(folder: Path) -> None:
    small = GroundingDino(str(folder), threshold=0.0).detect(PICTURE, ["a lamp"])
    assert max(detection.box[2] - detection.box[0] for detection in small) > 2  # not fractions
    assert all(
        -96 <= x0 < x1 <= 192 and -64 <= y0 < y1 <= 128
        for x0, y0, x1, y1 in (detection.box for detection in small)
    )


def test_detections_below_the_threshold_are_dropped(folder: Path) -> None:
    every = sorted(
        detection.score for detection in GroundingDino(str(folder), threshold=0.0).detect(PICTURE, ["a lamp"])
    )
    threshold = (every[9] + every[10]) / 2
    kept = GroundingDino(str(folder), threshold=threshold).detect(PICTURE, ["a lamp"])
    assert sorted(detection.score for detection in kept) == every[10:]


def test_long_phrases_are_truncated(folder: Path) -> None:
    """The model has room for 32 tokens."""
    detector = GroundingDino(str(folder), threshold=0.0)
    long, longer = ("a green sofa with white stripes " * times for times in (10, 20))
    assert len(detector.detect(PICTURE, [long])) == 20
    assert detector.detect(PICTURE, [long]) == detector.detect(PICTURE, [longer])


def test_a_prompt_has_one_full_stop_at_its_end() -> None:
    assert model_prompt("a lamp? a sofa?") == "a lamp, a sofa."
    assert model_prompt("A Green sofa. With white stripes.") == "a green sofa, with white stripes."
