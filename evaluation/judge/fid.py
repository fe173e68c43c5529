"""The Frechet Inception distance (Heusel et al. 2017) of pictures to real ones, by torchmetrics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

INCEPTION_FEATURES = 2048  # of the last pooling, as the FID is defined
ENOUGH = (
    1000  # pictures on each side; with fewer the distance says more of their number than of their quality
)
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def real_pictures(folder: Path) -> list[Path]:
    """Raises ValueError when there are fewer than two."""
    paths = (
        sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS) if folder.is_dir() else []
    )
    if len(paths) < 2:
        raise ValueError(
            f"{folder} has {len(paths)} pictures; expected at least 2. Give a folder of real pictures, as the benchmark's real/."
        )
    return paths


@torch.no_grad()
def frechet_inception_distance(
    made: Sequence[Path],
    real: Sequence[Path],
    extractor: int | nn.Module = INCEPTION_FEATURES,
    device: str = "cpu",
) -> float:
    """extractor: pictures (1, 3, H, W) in 0..255 -> features (1, F); a number takes the layer of Inception with so many features."""
    from torchmetrics.image.fid import FrechetInceptionDistance  # seconds to import

    few = min(len(made), len(real))
    if few < 2:
        raise ValueError(
            f"The FID of {len(made)} pictures to {len(real)} real ones is not defined; expected at least 2 of each."
        )
    if few < ENOUGH:
        logging.warning(
            "The FID of %d pictures to %d real ones is not reliable; take at least %d of each.",
            len(made),
            len(real),
            ENOUGH,
        )
    device = "cpu" if device.startswith("mps") else device  # Apple's GPUs know no float64
    metric = FrechetInceptionDistance(extractor, sync_on_compute=False).to(
        device
    )  # one process asks; the others may be gone
    for paths, are_real in ((real, True), (made, False)):
        for path in paths:
            with Image.open(path) as picture:
                pixels = torch.from_numpy(np.array(picture.convert("RGB"))).movedim(-1, 0)
            metric.update(pixels[None].to(device), real=are_real)
    return float(metric.compute())
