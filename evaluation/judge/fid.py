"""The Frechet Inception distance (Heusel et al. 2017) to real pictures, by torchmetrics."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ifadapter_diffusers.pictures import decoded_sizes, picture_files, read_picture

from ..files import digest_of, write_atomic

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


def frechet_inception_distance(
    generated: Sequence[Path],
    real: Sequence[Path],
    cache: Path,
    extractor: int | nn.Module = INCEPTION_FEATURES,
    device: str = "cpu",
) -> float:
    """The FID of two sets of picture files. Warns below ``RELIABLE_COUNT`` pictures.

    cache: folder of this extractor's features; a picture whose features are there is not read again.
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
    features = PictureFeatures(extractor, device, cache)
    real_features, generated_features = features.of(real), features.of(generated)
    # No synchronization: the main process computes alone, the other processes may have ended.
    metric = FrechetInceptionDistance(_Given(real_features.shape[1]), sync_on_compute=False)
    metric.update(real_features, real=True)
    metric.update(generated_features, real=False)
    return float(metric.compute())


class PictureFeatures:
    """The features of picture files, cached in ``cache/DIGEST.npy``.

    extractor, device, cache: see ``frechet_inception_distance``.
    """

    def __init__(self, extractor: int | nn.Module, device: str, cache: Path) -> None:
        self._extractor = extractor
        # Apple's MPS backend has no float64, which torchmetrics uses.
        self._device = "cpu" if device.startswith("mps") else device
        self._cache = cache

    def of(self, paths: Sequence[Path]) -> Tensor:
        """Features of pictures, float32 on the CPU: (len(paths), F)."""
        files = [self._cache / f"{digest_of(path)}.npy" for path in paths]
        for path, file in zip(paths, files, strict=True):
            if not file.exists():
                content = io.BytesIO()
                np.save(content, self._compute(path))
                write_atomic(file, content.getvalue())
        return torch.from_numpy(np.stack([_read(file) for file in files]))

    @torch.no_grad()
    def _compute(self, path: Path) -> NDArray[np.float32]:
        pixels = torch.from_numpy(np.array(read_picture(path))).movedim(-1, 0)
        features: Tensor = self._network(pixels[None].to(self._device))
        return features.float().cpu().numpy().reshape(-1)

    @cached_property
    def _network(self) -> Any:
        """Loaded for the first picture without cached features."""
        from torchmetrics.image.fid import FrechetInceptionDistance  # slow import

        return FrechetInceptionDistance(self._extractor, sync_on_compute=False).to(self._device).inception


class _Given(nn.Module):
    """In place of an extractor: the metric gets features instead of pictures."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features  # read by torchmetrics

    def forward(self, features: Tensor) -> Tensor:
        return features


def _read(file: Path) -> NDArray[np.float32]:
    try:
        features: NDArray[np.float32] = np.load(file)
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{file} cannot be read ({error!r}). Remove it; the same command writes it again."
        ) from error
    return features
