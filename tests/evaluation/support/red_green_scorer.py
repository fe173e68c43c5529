"""`python -m evaluation` with an FID of red and green; Inception's features need a download."""

from __future__ import annotations

import sys
from functools import partial

from torch import Tensor, nn

from evaluation.__main__ import main
from evaluation.judge.fid import frechet_inception_distance
from evaluation.report import score_folder


class RedGreen(nn.Module):
    """Mean red and mean green of each picture, (pictures, 2)."""

    num_features = 2

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures[:, :2].double().mean((2, 3))


class CountingRedGreen(RedGreen):
    """Counts the pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = 0

    def forward(self, pictures: Tensor) -> Tensor:
        self.pictures += len(pictures)
        return super().forward(pictures)


if __name__ == "__main__":
    score_folder.PACKAGES["fid"] = ["torchmetrics"]
    score_folder.frechet_inception_distance = partial(frechet_inception_distance, extractor=RedGreen())
    sys.exit(main(sys.argv[1:]))
