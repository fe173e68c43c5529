"""The CLIP score, with a tiny CLIP of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_clip import save_clip
from transformers import CLIPModel, CLIPProcessor

import tiny_models
from evaluation.judge.clip_score import ClipScore


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved CLIP."""
    return save_clip(tmp_path_factory.mktemp("clip"))


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.Generator(np.random.PCG64(4))
    return [
        Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)).resize((60, 40))
        for _ in range(count)
    ]


def test_the_score_is_the_cosine_in_percent_clamped_at_zero(clip: Path, tmp_path: Path) -> None:
    pairs = list(zip(pictures(len(tiny_models.TEXTS)), tiny_models.TEXTS, strict=True))
    model, processor = CLIPModel.from_pretrained(clip).eval(), CLIPProcessor.from_pretrained(clip)
    cosines = []
    for picture, text in pairs:
        with torch.no_grad():
            out = model(**processor(text=[text], images=[picture], return_tensors="pt", padding=True))
            cosines.append(100 * float(out.logits_per_image / model.logit_scale.exp()))
    assert 0 < min(cosines) < max(cosines) - 1
    assert [ClipScore(str(clip)).score(*pair) for pair in pairs] == pytest.approx(cosines, abs=1e-3)
    model.visual_projection.weight.data.neg_()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert [ClipScore(str(tmp_path)).score(*pair) for pair in pairs] == [0.0] * len(pairs)


def test_truncated_captions_keep_their_eot_token(clip: Path) -> None:
    """Without it, CLIP would give every long caption the same embedding."""
    (picture,) = pictures(1)
    score = ClipScore(str(clip))
    model, processor = CLIPModel.from_pretrained(clip).eval(), CLIPProcessor.from_pretrained(clip)
    texts = [f"{start} {'and one more ' * 60}" for start in tiny_models.TEXTS]
    inputs = processor(text=texts, return_tensors="pt", truncation=True, max_length=77)
    assert inputs["input_ids"].shape == (len(texts), 77)
    with torch.no_grad():
        out = model(**inputs, pixel_values=processor(images=[picture], return_tensors="pt")["pixel_values"])
    cosines = (100 * out.logits_per_image[0] / model.logit_scale.exp()).clamp(min=0).tolist()
    assert len(set(cosines)) > 1
    assert [score.score(picture, text) for text in texts] == pytest.approx(cosines, abs=1e-3)
