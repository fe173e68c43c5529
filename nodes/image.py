"""Pictures as the host's IMAGE."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_image(picture: Image.Image) -> Tensor:
    """A picture as an IMAGE (1, height, width, 3), float32 in 0..1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)[None]
