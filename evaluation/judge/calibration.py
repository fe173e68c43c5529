"""Does the paper's protocol rank methods as an exact verifier does? Asked in the drawn world, where all is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from shapes.recognition.verifier import verify

from ..benchmark import Benchmark
from ..report.metrics import feature_success
from .drawn_world import figures_of
from .scorer import Scorer, picture_path, read_picture


@dataclass(frozen=True)
class Calibration:
    """The success of each method, 0..1, by the protocol and by the verifier that knows all boxes."""

    protocol: dict[str, float]
    exact: dict[str, float]

    @property
    def differing(self) -> list[tuple[str, str]]:
        """The pairs of which the first is better by the exact verifier and not by the protocol."""
        better = [(a, b) for a, b in permutations(self.exact, 2) if self.exact[a] > self.exact[b]]
        return [(a, b) for a, b in better if not self.protocol[a] > self.protocol[b]]

    @property
    def agrees(self) -> bool:
        """Whichever method is better by the exact verifier is better by the protocol."""
        return not self.differing


def calibrate(scorer: Scorer, benchmark: Benchmark, methods: Mapping[str, Path]) -> Calibration:
    """methods: name -> folder with NAME.png for each layout of a benchmark out of the drawn world. Uses the first verifier.

    Raises ValueError when a picture is none.
    """
    protocol, exact = {}, {}
    for method, folder in methods.items():
        scores, right, total = [], 0, 0
        for entry in tqdm(benchmark.entries, desc=method, unit="picture", dynamic_ncols=True):
            picture = read_picture(picture_path(folder, entry), entry.layout)
            scores.append(scorer.score(entry.name, picture, entry.layout))
            verdicts = verify(np.asarray(picture), figures_of(entry.layout, picture.size))
            right += sum(verdict.success for verdict in verdicts)
            total += len(verdicts)
        protocol[method] = feature_success(scores, scorer.verifiers[0].name).value
        exact[method] = right / total
    return Calibration(protocol, exact)
