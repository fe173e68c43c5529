"""The Frechet Inception distance (Heusel et al. 2017) to real pictures, by torchmetrics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ifadapter_diffusers.pictures import decoded_sizes, picture_files, read_picture

INCEPTION_FEATURES = 2048  # the final pooling layer, as the FID is defined
RELIABLE_COUNT = 1000  # pictures per set; with fewer, the bias from the sample size dominates


def real_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, sorted.

    Raises ValueError if there are fewer than two, or others of formats that are not read.
    """
    paths = picture_files(folder)
    if len(paths) < 2:
        raise ValueError(
            f"{folder} has {len(paths)} pictures; expected at least 2. "
            "Give a folder of real pictures, for example the benchmark's real/."
        )
    return paths


def check_real_pictures(folder: Path) -> None:
    """Raises ValueError, naming the file, if a picture of the folder cannot be read."""
    for _ in decoded_sizes(real_pictures(folder)):
        pass


@torch.no_grad()
def frechet_inception_distance(
    generated: Sequence[Path],
    real: Sequence[Path],
    extractor: int | nn.Module = INCEPTION_FEATURES,
    device: str = "cpu",
) -> float:
    """The FID of two sets of picture files. Warns below ``RELIABLE_COUNT`` pictures.

    extractor: maps pictures (1, 3, H, W), uint8, to features (1, F); a number selects Inception's
        layer of that width.
    Raises ValueError if a set has fewer than two pictures.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance  # slow import

    smaller = min(len(generated), len(real))
    if smaller < 2:
        raise ValueError(
            f"The FID of {len(generated)} pictures to {len(real)} real ones is not defined; "
            "expected at least 2 of each."
        )
    if smaller < RELIABLE_COUNT:
        logging.warning(
            "The FID of %d pictures to %d real ones is not reliable; use at least %d of each.",
            len(generated),
            len(real),
            RELIABLE_COUNT,
        )
    device = "cpu" if device.startswith("mps") else device  # Apple's MPS backend has no float64
    # No synchronization: the main process computes alone, the other processes may have ended.
    metric = FrechetInceptionDistance(extractor, sync_on_compute=False).to(device)
    for paths, is_real in ((real, True), (generated, False)):
        for path in paths:
            pixels = torch.from_numpy(np.array(read_picture(path))).movedim(-1, 0)
            metric.update(pixels[None].to(device), real=is_real)
    return float(metric.compute())
