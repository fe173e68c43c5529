"""Paints and judges the conditions of studies, through a cache."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ifadapter_diffusers.painter import NOISE_ROWS, Painter

from ..drawing import Pixels
from ..models.config import load_shapes_config
from ..results.pictures import through_autoencoder
from ..results.rows import REAL
from ..results.run import GPU_CHUNK, weights_name
from ..sampler import HELD_OUT, World
from ..scene import Scene
from .cache import Arrays, Cache, digest
from .layouts.layout_sets import LayoutSet
from .looks.table import LOOKS
from .numbers.scores import VERSION, Scores, joined, score
from .painting import Models, Painting, paint

FORMAT = 1  # of the cached pictures; raise it when the same settings give other pictures
PIXELS = 12  # every so many scenes of a pool keep their pictures, for autoencoders
REFERENCE = HELD_OUT[5000:]  # drawings of the Frechet distance, disjoint from the layouts


@dataclass(frozen=True)
class Options:
    """The settings of a run.

    demo: folder of the shipped models.
    work: folder of the cache.
    layouts: of each condition.
    train_steps, train_batch: budget of each adapter that a study trains.
    pool: scenes that these train on.
    processes: that draw them; 0 = this process.
    timing: whether the study of the cost times steps.
    """

    demo: Path = Path("demo")
    work: Path = Path("runs/evidence")
    layouts: int = 300
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0
    device: str = "cpu"
    train_steps: int = 600
    train_batch: int = 160
    pool: int = 100_000
    processes: int = 0
    timing: bool = False
    config: str = "shapes"


class Studio:
    """judges: processes that score pictures while the next ones are painted."""

    def __init__(self, options: Options, judges: Executor) -> None:
        self.options = options
        self.judges = judges
        self.cache = Cache(options.work)
        self.world: World = load_shapes_config(options.config).shapes.world
        self.weights = weights_name(options.demo)
        self.kind = torch.device(options.device).type
        self.chunk = NOISE_ROWS if self.kind == "cpu" else GPU_CHUNK
        self._painter: tuple[str, Painter] | None = None
        self._pool: tuple[str, Any] | None = None

    def painter(self, models: Models) -> Painter:
        """The last one is kept."""
        name = digest(models.settings())
        if self._painter is None or self._painter[0] != name:
            self._painter = None  # frees its memory first
            painter = models.painter(self)
            if self.kind != "cpu":
                painter.base.vae.disable_slicing()
            self._painter = (name, painter)
        return self._painter[1]

    def pool(self, look: str) -> Any:
        """The scenes to train on, in a look: ``PoolTensors``, and pictures. The last one is kept."""
        from .trained.pool import draw_pool, pool_config  # not at the top: it needs the trainer

        if self._pool is None or self._pool[0] != look:
            self._pool = None  # frees its memory first
            options = self.options
            drawn = draw_pool(
                self.cache,
                self.judges,
                self.world,
                look,
                pool_config(options.pool, options.pool // PIXELS),
                options.demo / "tokenizer",
                torch.device(options.device),
            )
            self._pool = (look, drawn)
        return self._pool[1]

    def settings(self, painting: Painting, layouts: LayoutSet) -> dict[str, Any]:
        """All that decides the pictures of a condition, except the number of layouts."""
        options = self.options
        run: dict[str, Any] = {
            "weights": self.weights,
            "steps": painting.steps or options.steps,
            "guidance": options.guidance,
            "seed": options.seed,
            "device": self.kind,
        }
        if painting.trains:
            run |= {"train_steps": options.train_steps, "train_batch": options.train_batch}
            run["pool"] = options.pool
        return {
            "format": FORMAT,
            "layouts": layouts.settings(),
            **painting.settings(),
            **({} if painting.method == REAL else run),
        }

    def scores(self, painting: Painting, layouts: LayoutSet, title: str) -> Scores:
        """Paint and judge the layouts of a condition; what the cache has is read from it.

        title: of the progress bar.
        """
        scenes = [layouts.scene(self.world, index) for index in range(self.options.layouts)]
        folder = self.cache.place("pictures", self.settings(painting, layouts))
        starts = range(0, len(scenes), self.chunk)
        jobs: list[Future[Scores] | Scores] = []
        pending: dict[int, tuple[Path, Future[Scores]]] = {}
        for first in tqdm(starts, desc=title, unit="chunk", dynamic_ncols=True, leave=False):
            part = scenes[first : first + self.chunk]
            path = folder / f"{first:05d}_{digest(repr(part))[:8]}.npz"
            scored = path.with_suffix(f".scores{VERSION}.npz")
            if scored.exists():
                jobs.append(Scores(**self.cache.arrays(scored, dict)))
                continue
            pictures = self._pictures(path, painting, part, first, layouts.look)
            pending[len(jobs)] = (scored, self.judges.submit(score, pictures, part, layouts.look))
            jobs.append(pending[len(jobs)][1])
            self._keep(pending, done=True)
        self._keep(pending, done=False)
        return joined([job if isinstance(job, Scores) else job.result() for job in jobs])

    def _keep(self, pending: dict[int, tuple[Path, Future[Scores]]], done: bool) -> None:
        """Write scores to the cache: of the finished jobs only, or of all."""
        for number, (path, job) in list(pending.items()):
            if job.done() or not done:
                self.cache.arrays(path, job.result().arrays)
                del pending[number]

    def pictures(self, painting: Painting, layouts: LayoutSet, count: int) -> Pixels:
        """The first pictures of a condition, from the cache or painted now: (count, H, W, 3)."""
        scenes = [layouts.scene(self.world, index) for index in range(self.options.layouts)]
        folder = self.cache.place("pictures", self.settings(painting, layouts))
        part = scenes[: self.chunk]
        path = folder / f"{0:05d}_{digest(repr(part))[:8]}.npz"
        return self._pictures(path, painting, part, 0, layouts.look)[:count]

    def _pictures(
        self, path: Path, painting: Painting, scenes: Sequence[Scene], first: int, look: str
    ) -> Pixels:
        def make() -> Arrays:
            return {"pictures": self._paint(painting, scenes, first, look)}

        return self.cache.arrays(path, make)["pictures"]

    def _paint(self, painting: Painting, scenes: Sequence[Scene], first: int, look: str) -> Pixels:
        if painting.samples:
            layouts = [scene.layout for scene in scenes]
            return paint(self.painter(painting.models), painting, layouts, first, self.options.steps)
        drawings = np.stack([LOOKS[look].draw(scene) for scene in scenes])
        if painting.method == REAL:
            return drawings
        return through_autoencoder(self.painter(painting.models).base, drawings)
