"""Paints and judges the conditions of studies, through a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ifadapter_diffusers.demo_settings import GUIDANCE, STEPS
from ifadapter_diffusers.painter import NOISE_ROWS, Painter

from ..drawing import Pixels
from ..models.config import PoolConfig, load_shapes_config
from ..results.pictures import scenes_name, through_autoencoder
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
LOOK_POOL = 4  # a look's pool is so many times smaller: a fine-tuning sees fewer scenes
JUDGE_JOB = 8  # pictures judged by one task of a process
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
    steps: int = STEPS
    guidance: float = GUIDANCE
    seed: int = 0
    device: str = "cpu"
    train_steps: int = 600
    train_batch: int = 160
    pool: int = 100_000
    processes: int = 0
    timing: bool = False
    config: str = "shapes"


@dataclass(frozen=True, eq=False)
class Judged:
    """A chunk of pictures that is being judged.

    path: of its scores in the cache. jobs: their scores, part by part.
    """

    path: Path
    jobs: list[Future[Scores]]

    def scores(self, studio: Studio) -> Scores:
        """Waits for the judges, and writes the scores to the cache."""
        made = joined([job.result() for job in self.jobs])
        return Scores(**studio.cache.arrays(self.path, made.arrays))


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
        self._judged: list[Judged] = []
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
        from .trained.pool import draw_pool  # not at the top: it needs the trainer

        if self._pool is None or self._pool[0] != look:
            self._pool = None  # frees its memory first
            options = self.options
            drawn = draw_pool(
                self.cache,
                self.judges,
                self.world,
                look,
                self.pool_config(look),
                options.demo / "tokenizer",
                torch.device(options.device),
            )
            self._pool = (look, drawn)
        return self._pool[1]

    def pool_config(self, look: str) -> PoolConfig:
        """How many scenes of a look are drawn to train on, and which."""
        from .trained.pool import pool_config

        options = self.options
        count = options.pool if look == "plain" else max(options.pool // LOOK_POOL, options.train_batch)
        return pool_config(count, max(options.pool // PIXELS, options.train_batch))

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
            run |= {"pool": options.pool, "recipe": painting.models.recipe(self)}
        return {
            "format": FORMAT,
            "layouts": layouts.settings(),
            **painting.settings(),
            **({} if painting.method == REAL else run),
        }

    def start(self, painting: Painting, layouts: LayoutSet, title: str) -> Callable[[], Scores]:
        """Paint the layouts of a condition, and return a function that waits for their scores.

        What the cache has is read from it. The judging goes on while the next condition is painted or its
        models are trained. title: of the progress bar.
        """
        scenes = [layouts.scene(self.world, index) for index in range(self.options.layouts)]
        starts = range(0, len(scenes), self.chunk)
        parts: list[Judged | Scores] = []
        for first in tqdm(starts, desc=title, unit="chunk", dynamic_ncols=True, leave=False):
            chunk = scenes[first : first + self.chunk]
            path = self._path(painting, layouts, chunk, first)
            scored = path.with_suffix(f".scores{VERSION}.npz")
            if scored.exists():
                parts.append(Scores(**self.cache.arrays(scored, dict)))
                continue
            pictures = self._pictures(path, painting, chunk, first, layouts.look)
            self._judged.append(self._judge(scored, pictures, chunk, layouts.look))
            parts.append(self._judged[-1])
            self._keep_finished()
        return lambda: joined([part if isinstance(part, Scores) else part.scores(self) for part in parts])

    def scores(self, painting: Painting, layouts: LayoutSet, title: str) -> Scores:
        """Paint and judge the layouts of a condition: see ``start``."""
        return self.start(painting, layouts, title)()

    def first_pictures(self, painting: Painting, layouts: LayoutSet, count: int) -> Pixels:
        """The pictures of the first layouts of a condition: at most ``count``, and one chunk at most."""
        scenes = [layouts.scene(self.world, index) for index in range(min(self.chunk, self.options.layouts))]
        path = self._path(painting, layouts, scenes, 0)
        return self._pictures(path, painting, scenes, 0, layouts.look)[:count]

    def _path(self, painting: Painting, layouts: LayoutSet, scenes: Sequence[Scene], first: int) -> Path:
        """The cached pictures of a chunk of a condition. first: index of the first scene."""
        folder = self.cache.place("pictures", self.settings(painting, layouts))
        return folder / f"{first:05d}_{scenes_name(scenes)}.npz"

    def _judge(self, path: Path, pictures: Pixels, scenes: Sequence[Scene], look: str) -> Judged:
        jobs = [
            self.judges.submit(
                score, pictures[first : first + JUDGE_JOB], scenes[first : first + JUDGE_JOB], look
            )
            for first in range(0, len(scenes), JUDGE_JOB)
        ]
        return Judged(path, jobs)

    def _keep_finished(self) -> None:
        """Write the scores that are known to the cache."""
        for chunk in self._judged[:]:
            if all(job.done() for job in chunk.jobs):
                chunk.scores(self)
                self._judged.remove(chunk)

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
