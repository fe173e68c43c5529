"""``python -m training world``: all stages of the drawn world in one process, then the export.

For one GPU and a time limit. The stages are those of ``stages.py`` on a pool of scenes, which
processes draw beforehand.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.checkpointing import load_custom_state
from accelerate.utils import set_seed
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from ifadapter_core.storage import load_weights
from training import run_settings
from training.config import LoopConfig
from training.loop import train
from training.run_state import PROGRESS, Progress
from training.state_files import saved_states

from .config import PoolConfig, ShapesRunConfig
from .export import FOLDER, STAGES, export, export_stage
from .pool import Pool, prepare_vocabulary
from .pool_batches import PixelBatches, PoolTensors
from .pool_stages import PoolAdapterStage, pool_unet_stage
from .stages import DemoRun
from .vae import VAEStage

# Where the weights of ``demo/`` are in the folder of a run.
WEIGHTS = {
    "vae": "vae/weights",
    "unet": "unet/weights/unet",
    "text_encoder": "unet/weights/text_encoder",
    "scheduler": "unet/weights/scheduler",
    "tokenizer": "tokenizer",
    "ifadapter.safetensors": "adapter/weights/ifadapter.safetensors",
}


def train_world(
    config: ShapesRunConfig, override: bool = False, clock: Callable[[], float] = time.monotonic
) -> None:
    """Train the stages of the config on a pool; export each when it ends or is stopped, then all.

    A stage resumes from its state of an earlier run, as in ``train``. An error after a stage saved
    its last weights, such as one in its sample sheet, is raised after the export; all others at once.
    override: resume stages that had other settings.
    clock: seconds from any start.
    Raises ValueError if the config does not suffice, or if a stage with other settings is there.
    """
    started, shapes = clock(), config.shapes
    run, settings = DemoRun(Path(config.output), shapes), shapes.pool
    if settings is None:
        raise ValueError("The config has no shapes.pool, which says what to draw. Use the config shapes_gpu.")
    _check(config, run)
    described = describe(config, settings)
    for name in shapes.stages:
        run_settings.compare(run.folder / name, described, name, override)
    if shapes.init is not None:
        copy_weights(Path(shapes.init), run.folder)
    times: dict[str, float] = {}
    failures: list[Exception] = []
    target = Path(shapes.export) if shapes.export is not None else run.folder / FOLDER

    # Draw the scenes. The processes fork before the first use of the GPU.
    tokenizer = prepare_vocabulary(run, settings.processes)
    with closing(Pool(shapes.world, settings, tokenizer)) as pool:
        stages = _Stages(config, run, pool)
        times["start"] = clock() - started
        try:
            for number, name in enumerate(stages.names):
                before = clock()
                stage = stages.make(name)
                if shapes.init is not None:
                    load_initial(stage, name, run)
                loops = [stages.loops[later] for later in stages.names[number:]]
                left = 60 * (shapes.minutes - shapes.reserve) - (clock() - started)
                loop = limited(loops, left) if shapes.minutes else loops[0]
                stage.settings = described
                kept, folder = KeptStage(stage), run.folder / name
                try:
                    train(kept, loop, folder, clock, partial(run_settings.write, folder, described))
                except Exception as error:
                    if not kept.finished(loop):
                        raise
                    failures.append(error)
                    _say(f"{name} failed after its weights were saved:\n{traceback.format_exc()}")
                export_stage(run, name, target)
                times[name] = clock() - before
        except KeyboardInterrupt:
            if (run.folder / name / "state").is_dir():
                export_stage(run, name, target)
            raise

    before = clock()
    size = export(run, target)
    times["export"] = clock() - before
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items())
    _say(f"{target}: {size / 1e6:.1f} MB of weights. {parts}, in all {clock() - started:.0f} s.")
    if failures:
        raise failures[0]


def limited(loops: list[LoopConfig], seconds: float) -> LoopConfig:
    """The first loop with its share of the time that is left, by the minutes of all that follow.

    It gets a tenth of its own minutes at least, even if this exceeds the limit.
    """
    share = loops[0].minutes / sum(loop.minutes for loop in loops)
    return replace(loops[0], minutes=max(share * seconds / 60, loops[0].minutes / 10))


def describe(config: ShapesRunConfig, pool: PoolConfig) -> dict[str, Any]:
    """See ``run_settings.describe``. The pictures are those of the pool."""
    scenes = {**asdict(config.shapes.world), **asdict(replace(pool, processes=0))}
    fingerprint = hashlib.sha256(json.dumps(scenes, sort_keys=True).encode()).hexdigest()
    return {
        **run_settings.describe(config),
        "pictures": {"count": pool.pictures, "sha256": fingerprint},
    }


class KeptStage:
    """A stage that knows how far its last weights are."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.saved: Progress | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stage, name)

    def save(self, folder: Path) -> None:
        """Called after the state is saved. folder: ``weights`` of the run."""
        self.stage.save(folder)
        self.saved = Progress()
        load_custom_state(self.saved, folder.parent / "state", PROGRESS)

    def finished(self, loop: LoopConfig) -> bool:
        """Whether the weights that were saved here are the last ones of the training."""
        if self.saved is None:
            return False
        late = bool(loop.minutes) and self.saved.seconds >= 60 * loop.minutes
        return late or self.saved.step == loop.steps


class _Stages:
    """Makes the stages, each after the one before is trained."""

    def __init__(self, config: ShapesRunConfig, run: DemoRun, pool: Pool) -> None:
        self.config, self.run, self.pool = config, run, pool
        self.names = [name for name in STAGES if name in config.shapes.stages]
        shapes = config.shapes
        self.loops = {"vae": shapes.vae.loop, "unet": shapes.unet.loop, "adapter": config.adapter.loop}
        self.device = PartialState().device
        self._tensors: PoolTensors | None = None
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        _say(f"device {self.device}, {len(pool.arrays.counts)} scenes")

    def make(self, name: str) -> Any:
        """A stage with new weights."""
        set_seed(self.loops[name].seed)
        stage = {"vae": self._vae, "unet": self._unet, "adapter": self._adapter}[name]()
        stage.objective.graphed_loss.enabled = self.config.shapes.graphs
        return stage

    def _vae(self) -> VAEStage:
        settings = self.config.shapes.vae
        pixels = self.pool.wait_for_pixels()
        batches = PixelBatches(pixels, settings.batch_size, settings.loop.seed, self.device)
        return VAEStage(self.config.shapes.world, batches, settings.loss)

    def _unet(self) -> Any:
        shapes, run = self.config.shapes, self.run
        return pool_unet_stage(
            shapes.world,
            run.tokenizer,
            self.tensors,
            shapes.unet.batch_size,
            shapes.unet.loop.seed,
            run.vae(),
        )

    def _adapter(self) -> PoolAdapterStage:
        base = self.run.base().float().to(self.device)  # float: files of demo/ are in half precision
        held_out = self.run.held_out(self.config.adapter.samples)
        return PoolAdapterStage(base, self.config.adapter, self.tensors, held_out)

    @property
    def tensors(self) -> PoolTensors:
        """All scenes on the device."""
        if self._tensors is None:
            self._tensors = PoolTensors.from_arrays(*self.pool.wait(), self.device)
            _say(f"{len(self._tensors.descriptions)} distinct local descriptions")
        return self._tensors


def copy_weights(source: Path, folder: Path) -> None:
    """Copy models in the format of ``demo/`` to the folder of a run, except for stages that it has trained.

    Raises ValueError for a folder without them.
    """
    for name, place in WEIGHTS.items():
        if not (source / name).exists():
            raise ValueError(f"There is no {source / name}. init needs all of {', '.join(WEIGHTS)}.")
        target = folder / place
        stage = "unet" if name == "tokenizer" else Path(place).parts[0]
        if saved_states(folder / stage):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.rmtree(target, ignore_errors=True)  # may be of another init
            shutil.copytree(source / name, target)
        else:
            shutil.copyfile(source / name, target)


def load_initial(stage: Any, name: str, run: DemoRun) -> None:
    """Replace the new weights of a stage by those in the folder of the run."""
    folder = run.folder / name / "weights"
    if name == "vae":
        stage.vae.load_state_dict(run.vae().float().state_dict())
    elif name == "unet":
        unet = UNet2DConditionModel.from_pretrained(folder / "unet")
        text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
        stage.objective.unet.load_state_dict(unet.float().state_dict())
        stage.objective.text_encoder.load_state_dict(text_encoder.float().state_dict())
    else:
        tensors = load_weights(folder / "ifadapter.safetensors").tensors
        stage.adapter.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})


def missing_weights(folder: Path, trained: tuple[str, ...] = ()) -> list[str]:
    """Stages, other than the trained ones, whose weights are not in the folder of a run."""
    return [name for name in STAGES if name not in trained and not (folder / name / "weights").is_dir()]


def _check(config: ShapesRunConfig, run: DemoRun) -> None:
    """Find mistakes before anything is drawn."""
    shapes, loops = config.shapes, [config.shapes.vae.loop, config.shapes.unet.loop, config.adapter.loop]
    if len({loop.mixed_precision for loop in loops}) > 1:
        raise ValueError("All stages of one process need the same mixed_precision.")
    if config.adapter.init is not None:
        raise ValueError("adapter.init is set, but world starts from shapes.init, a folder of all models.")
    if shapes.minutes and not all(loop.minutes for loop in loops):
        raise ValueError("shapes.minutes is set: give loop.minutes of every stage, its share of the time.")
    if config.adapter.shape.slots != shapes.world.instances[1]:
        raise ValueError(
            f"adapter.shape.slots is {config.adapter.shape.slots}; expected the largest number of "
            f"instances, {shapes.world.instances[1]}."
        )
    if shapes.init is None and (missing := missing_weights(run.folder, shapes.stages)):
        raise ValueError(
            f"{run.folder} has no weights of {', '.join(missing)}. Train these stages, or give shapes.init."
        )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
