"""Grounding DINO (Liu et al. 2023) as the detector, by its id on the hub or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from .detector import Detection


class GroundingDino:
    """threshold: least score of a detection, 0..1. Each phrase is asked for by itself, so a detection has one phrase only."""

    def __init__(self, name: str, device: str = "cpu", threshold: float = 0.25) -> None:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor  # seconds to import

        self.name = name
        self._threshold = threshold
        self._processor = AutoProcessor.from_pretrained(name)
        model: Any = AutoModelForZeroShotObjectDetection.from_pretrained(name)
        self._model = model.to(device).eval()

    def detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        return [
            found
            for number, phrase in enumerate(phrases)
            for found in self._find(picture.convert("RGB"), phrase, number)
        ]

    @torch.no_grad()
    def _find(self, picture: Image.Image, phrase: str, number: int) -> list[Detection]:
        longest = {
            "truncation": True,
            "max_length": self._model.config.max_text_len,
        }  # tokens that the model has room for
        inputs = self._processor(images=picture, text=asked(phrase), return_tensors="pt", **longest).to(
            self._model.device
        )
        (found,) = self._processor.post_process_grounded_object_detection(
            self._model(**inputs),
            inputs["input_ids"],
            threshold=self._threshold,
            target_sizes=[(picture.height, picture.width)],
        )
        pairs = zip(found["boxes"].tolist(), found["scores"].tolist(), strict=True)
        return [Detection((x0, y0, x1, y1), score, number) for (x0, y0, x1, y1), score in pairs]


def asked(phrase: str) -> str:
    """As the model wants it: small letters and one full stop, at the end, since each part between stops or question marks is a thing
    of its own."""
    return f"{phrase.lower().replace('.', ',').replace('?', ',').strip(' ,')}."
