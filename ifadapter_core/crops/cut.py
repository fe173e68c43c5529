"""Cutting windows out of pictures. Pictures are float32 in 0..1."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .place import Window


def cut(picture: Tensor, window: Window, width: int, height: int) -> Tensor:
    """A window of a picture (H, W, C), resized to (height, width, C); a copy."""
    return resize(picture[window.rows, window.columns].float(), width, height)


def resize(picture: Tensor, width: int, height: int) -> Tensor:
    """A picture (H, W, C) resized to (height, width, C) by an antialiased bicubic filter, in 0..1.

    At its own size the values stay as they are.
    """
    if tuple(picture.shape[:2]) == (height, width):
        return picture.clone()
    channels_first = picture.movedim(-1, 0)[None]
    resized = F.interpolate(channels_first, size=(height, width), mode="bicubic", antialias=True)
    return resized[0].movedim(0, -1).clamp(0, 1)
