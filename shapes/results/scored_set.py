"""One set of layouts: its pictures, painted here, and their scores, from other processes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

from ifadapter_diffusers.contact_sheet import comparison

from .picture_score import PictureScore, score_pictures
from .pictures import Pictures
from .rows import TITLES
from .summary import summarize, worst

JOB = 4  # pictures judged by one task of a process


class ScoredSet:
    """The scores of a set of layouts.

    name: for progress bars.
    judges: processes that score pictures while the next ones are painted.
    detected: number of layouts, from the first, on which the detector runs.
    """

    def __init__(self, name: str, pictures: Pictures, judges: Executor, detected: int) -> None:
        self.name = name
        self.pictures = pictures
        self.judges = judges
        self.detected = detected
        self._jobs: dict[str, list[Future[list[PictureScore]]]] = {}
        self._scores: dict[str, list[PictureScore]] = {}

    @property
    def jobs(self) -> list[Future[list[PictureScore]]]:
        """The running and finished jobs of all painted rows."""
        return [job for jobs in self._jobs.values() for job in jobs]

    def paint(self, rows: Sequence[str]) -> None:
        """Paint all rows, and start judging."""
        total = len(rows) * len(self.pictures.starts)
        with tqdm(total=total, desc=f"painting {self.name}", unit="chunk", dynamic_ncols=True) as bar:
            for row in rows:
                self._jobs[row] = []
                bar.set_postfix_str(TITLES[row])
                for first, chunk in zip(self.pictures.starts, self.pictures.chunks(row), strict=True):
                    self._jobs[row] += [
                        self._submit(chunk[start : start + JOB], first + start)
                        for start in range(0, len(chunk), JOB)
                    ]
                    bar.update()

    def _submit(self, pictures: NDArray[np.uint8], first: int) -> Future[list[PictureScore]]:
        scenes = self.pictures.scenes[first : first + len(pictures)]
        detecting = [index < self.detected for index in range(first, first + len(pictures))]
        return self.judges.submit(score_pictures, pictures, scenes, detecting)

    def scores(self, row: str) -> list[PictureScore]:
        """The scores of a painted row, one per layout; waits for the judging processes."""
        if row not in self._scores:
            self._scores[row] = [score for job in self._jobs[row] for score in job.result()]
        return self._scores[row]

    def summary(self, rows: Sequence[str], reference: NDArray[np.float64]) -> dict[str, dict[str, Any]]:
        """The scores of each painted row: see ``summarize``."""
        return {row: summarize(self.scores(row), self.pictures.scenes, reference) for row in rows}

    def sheet(self, rows: Sequence[str], count: int) -> Image.Image:
        """The first layouts beside the pictures of each row."""
        return self._sheet(rows, range(min(count, len(self.pictures.scenes))))

    def worst_sheet(self, rows: Sequence[str], of: str, count: int) -> Image.Image:
        """The worst layouts of a painted row beside the pictures of each row."""
        return self._sheet(rows, worst(self.scores(of), count))

    def _sheet(self, rows: Sequence[str], indices: Sequence[int]) -> Image.Image:
        layouts = [self.pictures.scenes[index].layout for index in indices]
        return comparison(layouts, {TITLES[row]: self.pictures.all(row)[list(indices)] for row in rows})
