"""The CLIP score (Hessel et al. 2021) of pictures and captions, by torchmetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class ClipScore:
    """Scores picture and caption pairs.

    model: a CLIP model of transformers, by hub id or folder.
    device: torch device.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        from torchmetrics.multimodal import CLIPScore  # slow import
        from transformers import CLIPModel, CLIPProcessor

        loaded: Any = CLIPModel.from_pretrained(model)
        clip = _Clip(loaded.to(device).eval())
        processor = _Processor(CLIPProcessor.from_pretrained(model))
        self._device = device
        self._metric = CLIPScore(lambda: (clip, processor))

    @torch.no_grad()
    def score(self, picture: Image.Image, caption: str) -> float:
        """max(0, 100 cos(picture, caption))."""
        return float(self._metric(_pixels(picture).to(self._device), caption))


def _pixels(picture: Image.Image) -> Tensor:
    """(3, H, W), uint8."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).movedim(-1, 0)


class _Clip:
    """Unwraps the features: transformers 5 returns an output object, torchmetrics expects the tensor."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.config = model.config

    def to(self, device: Any) -> _Clip:
        self.model.to(device)
        return self

    def get_image_features(self, pixels: Tensor) -> Tensor:
        return _features(self.model.get_image_features(pixel_values=pixels))

    def get_text_features(self, ids: Tensor, mask: Tensor) -> Tensor:
        return _features(self.model.get_text_features(input_ids=ids, attention_mask=mask))


class _Processor:
    """Truncates long captions but keeps the EOT token, from which CLIP takes its text embedding.

    torchmetrics itself would cut the EOT token off.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, **given: Any) -> Any:
        return self.processor(**given, **({"truncation": True} if "text" in given else {}))


def _features(output: Any) -> Tensor:
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features
