"""Time and memory of a training step of an adapter, on random weights of true size."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.adapted_unet import BatchInstances
from ifadapter_diffusers.base_model import BaseModel, Conditioning, SizeConditioning
from ifadapter_diffusers.latents import latent_shape
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import canvas_of

from ..adapter_stage import AdapterStage
from ..config import AdapterConfig
from ..objective.denoising import LayoutBatch
from ..optimization.optimizer import new_optimizer
from ..processes.launch import set_precision
from .random_base import Architecture, random_base

GIB = 2**30
WARM_UP, MIN_STEPS, MAX_STEPS = 1, 2, 5  # steps of a row that are not measured, and that are
INSTANCES = 6  # in each picture
DESCRIPTION = "a small brown dog with a white chest and a red collar, looking to the left"
CAPTION = "a photograph of a living room in the afternoon, with a dog, two chairs and plants by the window"
PIXELS, CACHED = "pixels", "cached"


@dataclass(frozen=True)
class Case:
    """One row of the table.

    batch_size: pictures per step.
    cached: latents and text states are given; else the step encodes pixels and texts.
    checkpointing: recompute the UNet's activations in the backward pass.
    """

    batch_size: int
    cached: bool
    checkpointing: bool

    @property
    def name(self) -> str:
        """For example ``4-pixels`` or ``8-cached-checkpointing``."""
        source = CACHED if self.cached else PIXELS
        return f"{self.batch_size}-{source}" + "-checkpointing" * self.checkpointing

    @classmethod
    def parse(cls, name: str) -> Case:
        """The counterpart of ``name``. Raises ValueError for other names."""
        size, _, rest = name.partition("-")
        kinds = {case.name.partition("-")[2]: case for case in all_cases((1,))}
        if not size.isdecimal() or int(size) < 1 or rest not in kinds:
            raise ValueError(
                f"There is no row {name!r}; expected a batch size and one of {', '.join(kinds)}, "
                "for example 4-pixels-checkpointing."
            )
        return cls(int(size), kinds[rest].cached, kinds[rest].checkpointing)


@dataclass(frozen=True)
class Cost:
    """What a case costs. The median of the measured steps, or the error that prevented them.

    batch_seconds: forward and backward pass of a batch.
    optimizer_seconds: clipping, AdamW and moving average; once per ``accumulation`` batches.
    peak_gib: most memory in use at a time, weights and optimizer included; None on a CPU.
    reserved_gib: most memory that PyTorch held, with its unused parts; None on a CPU.
    """

    case: Case
    steps: int = 0
    batch_seconds: float | None = None
    optimizer_seconds: float | None = None
    peak_gib: float | None = None
    reserved_gib: float | None = None
    error: str | None = None

    @property
    def pictures_per_second(self) -> float | None:
        """Of one optimizer step per batch; None if nothing was measured."""
        if self.batch_seconds is None or self.optimizer_seconds is None:
            return None
        return self.case.batch_size / (self.batch_seconds + self.optimizer_seconds)


class CachedBase(BaseModel):
    """A base model without autoencoder and text encoders: gives the text states of known layouts.

    Its states are those of the first texts, whatever is asked for: only their number counts.
    """

    def __init__(self, base: BaseModel, layouts: Sequence[Layout], depths: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.unet, self.scheduler, self.text_width = base.unet, base.scheduler, base.text_width
        self.conditions = base.condition([layout.caption for layout in layouts], canvas_of(layouts))
        texts = [text for layout in layouts for text in layout.local_descriptions]
        self.phrases = base.embed_phrases(texts, depths)

    def condition(
        self,
        captions: Sequence[str],
        size: tuple[int, int],
        sizes: Sequence[SizeConditioning] | None = None,
    ) -> Conditioning:
        states, added = self.conditions.text_states, self.conditions.added
        count = len(captions)
        return Conditioning(states[:count], {key: value[:count] for key, value in added.items()})

    def embed_phrases(self, local_descriptions: Sequence[str], depths: Sequence[int]) -> PhraseEmbeddings:
        count, known = len(local_descriptions), self.phrases
        return PhraseEmbeddings(
            known.phrase_embeds[:count], known.attention_mask[:count], known.eot_embeds[:count]
        )


class Bench:
    """A training step of an adapter on a random base model.

    Everything of the trainer's step but the loading of files.

    cases: that will be measured. size: side of the pictures, in pixels.

    Raises ValueError for fp16 on the CPU.
    """

    def __init__(
        self,
        config: AdapterConfig,
        architecture: Architecture,
        size: int,
        cases: Sequence[Case],
        dtype: torch.dtype,
    ) -> None:
        self.accelerator = Accelerator(mixed_precision=config.loop.mixed_precision)
        device = self.accelerator.device
        set_precision(device, config.loop)
        base = random_base(architecture, device, dtype)
        self.layouts = [_layout(number, size) for number in range(max(case.batch_size for case in cases))]
        with torch.device(device):
            self.stage = AdapterStage(base, config.shape, config.loss, _NoBatches(), ())
        self.trained = list(self.stage.adapter.parameters())
        self.latent_shape = latent_shape(base.vae, size, size)
        self.size = size
        self.max_norm = config.loop.max_gradient_norm
        optimizer = new_optimizer(self.trained, config.loop, device)
        self.objective, self.optimizer = self.accelerator.prepare(self.stage.objective, optimizer)
        decay = config.loop.ema_decay
        self.average = EMAModel(self.trained, decay=decay, foreach=True) if decay else None

    def use_caches(self) -> None:
        """From now on the text states are given. Frees the autoencoder and the text encoders."""
        depths = self.stage.adapter.config.settings.text_depths
        cached = CachedBase(self.stage.base, self.layouts, depths)
        self.stage.base = self.stage.objective.base = cached
        self._free()

    def measure(self, case: Case, deadline: float) -> Cost:
        """Measure a case; at least MIN_STEPS, more until ``deadline``, in seconds of ``time.monotonic``."""
        unet = self.stage.base.unet
        (unet.enable_gradient_checkpointing if case.checkpointing else unet.disable_gradient_checkpointing)()
        self._free()
        cuda = self.accelerator.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        try:
            steps = list(self._steps(case, deadline))
        except Exception as error:  # out of memory, or whatever a device raises: the other rows go on
            return Cost(case, error=_reason(error))
        batch_seconds, optimizer_seconds = (sorted(part)[len(part) // 2] for part in zip(*steps, strict=True))
        return Cost(
            case,
            len(steps),
            batch_seconds,
            optimizer_seconds,
            torch.cuda.max_memory_allocated() / GIB if cuda else None,
            torch.cuda.max_memory_reserved() / GIB if cuda else None,
        )

    def _steps(self, case: Case, deadline: float) -> Iterator[tuple[float, float]]:
        """Seconds of the passes and of the optimizer, of each measured step."""
        batch = self._batch(case)
        for number in range(WARM_UP + MAX_STEPS):
            if number >= WARM_UP + MIN_STEPS and time.monotonic() > deadline:
                return
            generator = seeded_generator(number, device=self.accelerator.device)
            loss, batch_seconds = self._timed(lambda: self._passes(batch, generator))  # noqa: B023
            _, optimizer_seconds = self._timed(self._update)
            del loss
            if number >= WARM_UP:
                yield batch_seconds, optimizer_seconds

    def _passes(self, batch: LayoutBatch, generator: torch.Generator) -> Tensor:
        loss = self.objective(batch, generator)
        self.accelerator.backward(loss)
        return loss.detach()

    def _update(self) -> None:
        self.accelerator.clip_grad_norm_(self.trained, self.max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.step(self.trained)

    def _batch(self, case: Case) -> LayoutBatch:
        layouts = self.layouts[: case.batch_size]
        randomness = seeded_generator(case.batch_size)
        if case.cached:
            latents = torch.randn(case.batch_size, *self.latent_shape, generator=randomness)
            return LayoutBatch(layouts, latents=latents)
        images = torch.rand(case.batch_size, 3, self.size, self.size, generator=randomness) * 2 - 1
        return LayoutBatch(layouts, images=images)

    def _timed(self, action: Callable[[], Any]) -> tuple[Any, float]:
        self._wait()
        start = time.perf_counter()
        result = action()
        self._wait()
        return result, time.perf_counter() - start

    def _wait(self) -> None:
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()

    def _free(self) -> None:
        """Free what the case before left, also after an error in the middle of a step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.stage.objective.adapted.instances = BatchInstances(())  # they hold on to the last graph
        gc.collect()
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()


def all_cases(batch_sizes: Sequence[int]) -> list[Case]:
    """All rows for some batch sizes. Those with checkpointing first: they need the least memory."""
    return [
        Case(size, cached, checkpointing)
        for cached in (False, True)
        for checkpointing in (True, False)
        for size in batch_sizes
    ]


class _NoBatches(torch.utils.data.Dataset[LayoutBatch]):
    """The bench makes its own batches."""


def _layout(number: int, size: int) -> Layout:
    """A picture with boxes of a quarter to a half of its side."""
    randomness = seeded_generator(1, number)
    sides = 0.25 + 0.25 * torch.rand(INSTANCES, 2, generator=randomness)
    corners = torch.rand(INSTANCES, 2, generator=randomness) * (1 - sides)
    boxes = torch.cat([corners, corners + sides], dim=1).tolist()
    return Layout(size, size, tuple(Instance(Box(*box), DESCRIPTION) for box in boxes), CAPTION)


def _reason(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    return f"{type(error).__name__}: {error}".splitlines()[0]
