"""Grounding DINO (Liu et al. 2023) as the detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from ifadapter_core.checking.matching import Detection


class GroundingDino:
    """Runs the model once per phrase, so that each detection belongs to exactly one phrase.

    name: hub id or folder of the model.
    device: torch device.
    threshold: minimum score of a detection, 0..1.
    """

    def __init__(self, name: str, device: str = "cpu", threshold: float = 0.25) -> None:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor  # slow import

        self.name = name
        self._threshold = threshold
        self._processor = AutoProcessor.from_pretrained(name)
        model: Any = AutoModelForZeroShotObjectDetection.from_pretrained(name)
        self._model = model.to(device).eval()

    def detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        rgb = picture.convert("RGB")
        return [found for index, phrase in enumerate(phrases) for found in self._find(rgb, phrase, index)]

    @torch.no_grad()
    def _find(self, picture: Image.Image, phrase: str, index: int) -> list[Detection]:
        text = model_prompt(phrase)
        max_length = self._model.config.max_text_len  # tokens
        inputs = self._processor(
            images=picture, text=text, return_tensors="pt", truncation=True, max_length=max_length
        ).to(self._model.device)
        (found,) = self._processor.post_process_grounded_object_detection(
            self._model(**inputs),
            inputs["input_ids"],
            threshold=self._threshold,
            target_sizes=[(picture.height, picture.width)],
        )
        pairs = zip(found["boxes"].tolist(), found["scores"].tolist(), strict=True)
        return [Detection((x0, y0, x1, y1), score, index) for (x0, y0, x1, y1), score in pairs]


def model_prompt(phrase: str) -> str:
    """The phrase in lower case with exactly one full stop, at its end.

    The model treats the parts between full stops or question marks as separate phrases.
    """
    return f"{phrase.lower().replace('.', ',').replace('?', ',').strip(' ,')}."
