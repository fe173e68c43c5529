"""How the studies train: one budget for all adapters of a study."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed

from ifadapter_diffusers.base_model import BaseModel
from training.config import AdapterConfig, LoopConfig
from training.loop import Stage, train

from ...models.config import load_shapes_config
from ...results.run import weights_name
from ..cache import write_atomic
from ..studio import Studio
from .pool import pool_settings

CONFIG = "shapes_gpu"  # whose adapter and rates the studies use
DONE = "done"
DENOISER = ("unet", "text_encoder")  # parts of the shipped base model that latents are trained with
# Settings of a loop that do not decide the weights.
UNDECIDING = (
    *("save_every", "sample_every", "log_every", "held_out_every", "keep_states"),
    *("workers", "max_skipped", "trackers"),
)
SAVES = 4  # states during a training, from which it resumes


def adapter_config(studio: Studio, steps: int | None = None) -> AdapterConfig:
    """The demo's adapter with the budget of the studies. steps: of another budget."""
    given = load_shapes_config(CONFIG).adapter
    loop = loop_config(studio, given.loop.learning_rate, steps)
    return replace(given, batch_size=studio.options.train_batch, loop=loop, samples=4)


def loop_config(studio: Studio, learning_rate: float, steps: int | None = None) -> LoopConfig:
    steps = studio.options.train_steps if steps is None else steps
    return LoopConfig(
        steps=steps,
        learning_rate=learning_rate,
        weight_decay=0.0,
        warmup=min(100, steps // 6),
        schedule="cosine",
        betas=(0.9, 0.99),
        ema_decay=0.99,  # the average of about a hundred steps, since budgets are short
        mixed_precision="bf16" if studio.kind == "cuda" else "no",
        save_every=max(steps // SAVES, 1),
        sample_every=steps,
        held_out_every=steps,
        log_every=50,
        keep_states=1,
        trackers=(),
        seed=studio.options.seed,
    )


def train_once(folder: Path, make: Callable[[], Stage], loop: LoopConfig, device: str) -> Path:
    """The weights that a stage writes, in ``folder/weights``; trained or resumed unless they are finished."""
    if not (folder / DONE).exists():
        if device == "cpu":
            os.environ["ACCELERATE_USE_CPU"] = "true"  # the trainer would take a GPU
        set_seed(loop.seed)  # of the new weights
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            train(make(), loop, folder)
        finally:  # pictures must not depend on what was trained before
            torch.set_float32_matmul_precision(precision)
        write_atomic(folder / DONE, b"")
    return folder / "weights"


def loop_recipe(loop: LoopConfig) -> dict[str, Any]:
    """What of a loop decides the weights."""
    return {name: value for name, value in asdict(loop).items() if name not in UNDECIDING}


def scenes_recipe(studio: Studio, look: str) -> dict[str, Any]:
    """The scenes of a look on which the studies train."""
    config, tokenizer = studio.pool_config(look), studio.options.demo / "tokenizer"
    return pool_settings(studio.world, look, config, tokenizer)


def adapter_recipe(studio: Studio, config: AdapterConfig, look: str = "plain") -> dict[str, Any]:
    """All settings that the training of an adapter reads, or of a model with its budget."""
    return {
        "scenes": scenes_recipe(studio, look),
        "batch": config.batch_size,
        "shape": asdict(config.shape),
        "loss": asdict(config.loss),
        "loop": loop_recipe(config.loop),
    }


def settings(
    studio: Studio, models: Any, recipe: dict[str, Any], parts: Sequence[str] = DENOISER
) -> dict[str, Any]:
    """All that decides the weights of trained models: the budget, the shipped weights and the recipe.

    recipe: the settings that the training reads.
    parts: of the shipped weights, which the training reads; another decoder is no reason to train again.
    """
    options = studio.options
    return {
        **models.settings(),
        "recipe": recipe,
        "weights": weights_name(options.demo, parts),
        "pool": options.pool,
        "seed": options.seed,
        "device": studio.kind,
    }


def new_base(studio: Studio, folder: Path | None = None) -> BaseModel:
    """The shipped base model, or that of a folder, in float32 on the device."""
    base = BaseModel.from_pretrained(str(folder or studio.options.demo))
    return base.to(studio.options.device)
