"""Settings of ``score``, and what of them is recorded with the scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifadapter_core.language.questions import prompt_text

from ..benchmark import Benchmark

SHAPES = "shapes"  # as detector or verifier: the program for the drawn world
DEFAULT_THRESHOLD = 0.25  # the default of transformers for Grounding DINO


@dataclass(frozen=True)
class VerifierSettings:
    """A verifier.

    name: ``SHAPES``, or a vision-language model by hub id or folder.
    url: base URL of the server that runs the model, up to ``/v1``; empty for a local model.
    """

    name: str
    url: str = ""

    @property
    def is_program(self) -> bool:
        """Whether this is the program for the drawn world, not a model."""
        return self.name == SHAPES and not self.url


@dataclass(frozen=True)
class ScoreSettings:
    """How pictures are scored.

    detector: ``SHAPES``, or Grounding DINO by hub id or folder.
    threshold: minimum score of a detection, 0..1; None with ``SHAPES``, which has its own.
    verifiers: at least one; the first one gives the ``success`` of the scores.
    clip: CLIP model by hub id or folder; None for no CLIP score.
    real: folder of real pictures; None for no FID.
    """

    detector: str
    threshold: float | None
    verifiers: tuple[VerifierSettings, ...]
    clip: str | None = None
    real: Path | None = None

    @property
    def verifier_names(self) -> list[str]:
        return [verifier.name for verifier in self.verifiers]

    def recorded(self, benchmark: Benchmark) -> dict[str, Any]:
        """The content of ``scoring.json``: everything that the cached records depend on.

        Resuming compares its bytes, so its keys and their order must not change. Server addresses
        are left out: a model gives the same verdicts wherever it runs.
        """
        content: dict[str, Any] = {
            "benchmark": benchmark.digest,
            "detector": self.detector,
            "verifiers": self.verifier_names,
        }
        if self.threshold is not None:
            content["threshold"] = self.threshold
        if len(self.verifiers) > 1 or not self.verifiers[0].is_program:
            content["question"] = prompt_text("fits")
        return content
