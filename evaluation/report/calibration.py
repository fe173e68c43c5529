"""Does the paper's protocol rank methods like an exact verifier?

Answered in the drawn world, which has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from shapes.recognition.verifier import verify

from ..benchmark import Benchmark
from ..judge.drawn_world import figures_of
from ..judge.scorer import Scorer
from ..pictures import picture_path, read_picture
from .metrics import feature_success


@dataclass(frozen=True)
class Calibration:
    """Instance feature success of each method, 0..1, measured in two ways.

    protocol: by the paper's protocol, by method name.
    exact: by the verifier that knows all boxes, by method name.
    """

    protocol: dict[str, float]
    exact: dict[str, float]

    @property
    def disagreements(self) -> list[tuple[str, str]]:
        """Pairs (better, worse) by the exact verifier that the protocol ties or ranks in reverse."""
        better = [(a, b) for a, b in permutations(self.exact, 2) if self.exact[a] > self.exact[b]]
        return [(a, b) for a, b in better if not self.protocol[a] > self.protocol[b]]

    @property
    def agrees(self) -> bool:
        """Whether the protocol reproduces every strict ranking of the exact verifier."""
        return not self.disagreements


def calibrate(scorer: Scorer, benchmark: Benchmark, methods: Mapping[str, Path]) -> Calibration:
    """Measure methods on a benchmark of the drawn world, with the scorer's first verifier.

    methods: folder with NAME.png for each layout, by method name. Raises ValueError if a picture
        cannot be read.
    """
    protocol, exact = {}, {}
    for method, folder in methods.items():
        scores, correct, total = [], 0, 0
        for entry in tqdm(benchmark.entries, desc=method, unit="picture", dynamic_ncols=True):
            picture = read_picture(picture_path(folder, entry.name), entry.layout)
            scores.append(scorer.score(entry.name, picture, entry.layout))
            verdicts = verify(np.asarray(picture), figures_of(entry.layout, picture.size))
            correct += sum(verdict.success for verdict in verdicts)
            total += len(verdicts)
        protocol[method] = feature_success(scores, scorer.verifiers[0].name).value
        exact[method] = correct / total
    return Calibration(protocol, exact)
