"""The CLIP score (Hessel et al. 2021) of pictures and captions, by torchmetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class ClipScore:
    """model: a CLIP of transformers, by the id on the hub or a folder."""

    def __init__(self, model: str, device: str = "cpu") -> None:
        from torchmetrics.multimodal import CLIPScore  # seconds to import
        from transformers import CLIPModel, CLIPProcessor

        loaded: Any = CLIPModel.from_pretrained(model)
        clip = _Clip(loaded.to(device).eval())
        words = _Processor(CLIPProcessor.from_pretrained(model))
        self._device = device
        self._metric = CLIPScore(lambda: (clip, words))  # type: ignore[arg-type, return-value]

    @torch.no_grad()
    def score(self, picture: Image.Image, caption: str) -> float:
        """100 cos(picture, caption), and 0 where that is negative."""
        return float(self._metric(_bytes(picture).to(self._device), caption))


def _bytes(picture: Image.Image) -> Tensor:
    """(3, H, W) in 0..255."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).movedim(-1, 0)


class _Clip:
    """transformers 5 puts the features into an output of several tensors; torchmetrics expects them alone."""

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
    """Cuts long captions so that they keep their last token, which CLIP takes the meaning from; torchmetrics cuts it off."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, **given: Any) -> Any:
        return self.processor(**given, **({"truncation": True} if "text" in given else {}))


def _features(output: Any) -> Tensor:
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features
