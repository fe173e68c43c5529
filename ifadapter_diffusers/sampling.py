"""Adding noise for training, and sampling with DDIM."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.layout import Layout
from ifadapter_core.tokens import InstanceTokens, PhraseEmbeddings

from .adapted_unet import AdaptedUNet, BatchInstances, RowGroup
from .base_model import BaseModel, Conditioning
from .latents import latent_shape

# latents (2B, C, h, w), unconditional rows first, and timesteps (2B,) -> prediction (2B, C, h, w)
Denoise = Callable[[Tensor, Tensor], Tensor]
# Where sampling starts: standard normal latents (B, C, h, w), or the generator that they are drawn from.
Noise = torch.Generator | Tensor


@dataclass(frozen=True)
class Control:
    """How the adapter acts during sampling, as in the nodes' inputs. The release's defaults.

    strength: factor for all instances, finite.
    start_percent: where in the schedule the adapter starts; 0 = pure noise, 1 = no noise.
    end_percent: where in the schedule it ends.
    front_hides_back: in overlaps, only the nearest (last) instance acts; see ``SemanticMap``.

    Raises ValueError for values out of range, and for an end before the start.
    """

    strength: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    front_hides_back: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            raise ValueError(
                f"The strength of the adapter is {self.strength}; expected a finite number, 1 as trained."
            )
        if not 0 <= self.start_percent <= self.end_percent <= 1:
            raise ValueError(
                f"The adapter starts at {self.start_percent} and ends at {self.end_percent}; expected 0 to "
                "1, the start before the end."
            )

    @property
    def acts_always(self) -> bool:
        return self.start_percent <= 0 and self.end_percent >= 1

    def acts_at(self, timestep: float, timesteps: int) -> bool:
        """Whether the adapter acts at a timestep: 0 = no noise, timesteps - 1 = pure noise.

        The bounds are those of ComfyUI's ``percent_to_sigma``.
        """
        last = timesteps - 1
        before_end = self.end_percent >= 1 or timestep >= (1 - self.end_percent) * last
        return before_end and (self.start_percent <= 0 or timestep <= (1 - self.start_percent) * last)


DEFAULT_CONTROL = Control()


def add_noise(
    scheduler: Any,
    latents: Tensor,
    generator: torch.Generator,
    logit_mean: float | None = None,
    offset: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Add noise at random timesteps -> (noisy latents, timesteps (B,), prediction target).

    logit_mean: mean of the logits of logit-normal timesteps (Esser et al. 2024, section 3.1),
        0 = centered; None: uniform timesteps.
    offset: standard deviation of a further noise, the same in all cells of a channel, with which a model
        learns very dark and very bright pictures.
    The target is the noise, or the velocity if the scheduler predicts velocities.
    """
    count = scheduler.config["num_train_timesteps"]
    where = generator.device  # one on the latents' device saves a copy from the CPU
    noise = torch.randn(latents.shape, generator=generator, device=where).to(latents)
    if logit_mean is None:
        timesteps = torch.randint(count, (len(latents),), generator=generator, device=where).to(
            latents.device
        )
    else:
        fraction = (torch.randn(len(latents), generator=generator, device=where) + logit_mean).sigmoid()
        timesteps = (fraction * count).long().clamp(max=count - 1).to(latents.device)
    if offset:
        shift = torch.randn(*latents.shape[:2], 1, 1, generator=generator, device=where).to(latents)
        noise = noise + offset * shift
    noisy = scheduler.add_noise(latents, noise, timesteps)
    return noisy, timesteps, noise_target(scheduler, latents, noise, timesteps)


def noise_target(scheduler: Any, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What a base model predicts: the noise, or the velocity, with the shape of the noise."""
    predicts_velocity = scheduler.config["prediction_type"] == "v_prediction"
    return scheduler.get_velocity(latents, noise, timesteps) if predicts_velocity else noise


@dataclass(frozen=True, eq=False)
class Redraw:
    """Sampling that starts from pictures instead of pure noise, as ComfyUI's KSampler does.

    pictures: (B, 3, H, W) in -1..1.
    denoise: part of the noise schedule that is sampled, above 0 and at most 1. All steps are taken in it.
    """

    pictures: Tensor
    denoise: float


def guided(
    denoise: Denoise, scheduler: Any, latents: Tensor, steps: int, guidance: float, skipped: int = 0
) -> Tensor:
    """DDIM (Song et al. 2021) with classifier-free guidance: unit noise (B, C, h, w) -> latents.

    denoise: gets all latents twice, the unconditional rows first.
    skipped: further steps at the start of the schedule that are not taken; the latents are then noisy
        latents of the first step that is.
    """
    sampler = _sampler(scheduler, steps + skipped)
    for timestep in sampler.timesteps.tolist()[skipped:]:
        timesteps = torch.full((2 * len(latents),), timestep, device=latents.device)
        uncond, cond = denoise(torch.cat([latents, latents]), timesteps).float().chunk(2)
        latents = sampler.step(uncond + guidance * (cond - uncond), timestep, latents).prev_sample
    return latents


def _sampler(scheduler: Any, steps: int) -> DDIMScheduler:
    sampler = DDIMScheduler.from_config(scheduler.config, timestep_spacing="trailing", clip_sample=False)
    sampler.set_timesteps(steps)
    return sampler


def _noisy(base: BaseModel, redraw: Redraw, noise: Tensor, steps: int) -> tuple[Tensor, int]:
    """Noisy latents of pictures, and the number of steps that are skipped."""
    skipped = int(steps / redraw.denoise) - steps
    timestep = _sampler(base.scheduler, steps + skipped).timesteps[skipped]
    latents = base.encode(redraw.pictures)
    return base.scheduler.add_noise(latents, noise, timestep.expand(len(latents))), skipped


@torch.no_grad()
def sample_layouts(
    adapted: AdaptedUNet,
    base: BaseModel,
    layouts: Sequence[Layout],
    noise: Noise,
    steps: int,
    guidance: float,
    instances: Sequence[InstanceTokens] | None = None,
    control: Control = DEFAULT_CONTROL,
    prompts: Sequence[str] | None = None,
    redraw: Redraw | None = None,
) -> Tensor:
    """Pictures of layouts of one canvas size by the adapter, (B, 3, H, W) in about -1..1.

    instances: the adapter's tokens of each layout; default: encoded here.
    prompts: of the base model; default: the layouts' prompts, with all local descriptions.
    redraw: pictures to start from; default: pure noise.
    """
    if instances is None:
        instances = batch_tokens(adapted.adapter, base, layouts)
    conditioning = guidance_rows(base, layouts, prompts)
    start, skipped = unit_noise(base, layouts, noise), 0
    if redraw is not None:
        start, skipped = _noisy(base, redraw, start, steps)

    # A layout has two rows: the unconditional one with null tokens, and the conditional one.
    groups = BatchInstances(
        RowGroup(
            rows=(row, len(layouts) + row),
            tokens=torch.stack([tokens.uncond, tokens.cond]),
            boxes=tokens.boxes,
            strengths=tuple(control.strength * strength for strength in tokens.strengths),
            front_hides_back=control.front_hides_back,
        )
        for row, tokens in enumerate(instances)
    )

    dtype, timesteps = base.unet.dtype, base.scheduler.config["num_train_timesteps"]

    def denoise(latents: Tensor, timestep: Tensor) -> Tensor:
        acting = groups if control.acts_always or control.acts_at(timestep[0].item(), timesteps) else ()
        return adapted(latents.to(dtype), timestep, conditioning, acting)

    with torch.autocast(base.device.type, dtype, enabled=dtype != torch.float32):
        latents = guided(denoise, base.scheduler, start, steps, guidance, skipped)
    return base.decode(latents)


@torch.no_grad()
def sample_plain(
    base: BaseModel, layouts: Sequence[Layout], noise: Noise, steps: int, guidance: float
) -> Tensor:
    """Pictures by the base model alone, from the layouts' prompts: (B, 3, H, W) in about -1..1."""
    conditioning, start = guidance_rows(base, layouts), unit_noise(base, layouts, noise)
    return base.decode(
        guided(lambda x, t: base.predict(x, t, conditioning), base.scheduler, start, steps, guidance)
    )


def guidance_rows(
    base: BaseModel, layouts: Sequence[Layout], prompts: Sequence[str] | None = None
) -> Conditioning:
    """2B rows for classifier-free guidance: B empty prompts, then the prompts (default: the layouts')."""
    size = canvas_of(layouts)
    empty = base.condition([""] * len(layouts), size)
    given = [layout.prompt for layout in layouts] if prompts is None else prompts
    return empty.join(base.condition(given, size))


def unit_noise(base: BaseModel, layouts: Sequence[Layout], noise: Noise) -> Tensor:
    """The start of sampling: standard normal latents (B, C, h, w), on the base model's device.

    Raises ValueError if given latents have another shape.
    """
    shape = (len(layouts), *latent_shape(base.vae, *canvas_of(layouts)))
    if isinstance(noise, torch.Generator):
        return torch.randn(shape, generator=noise).to(base.device)
    if noise.shape != shape:
        raise ValueError(f"The noise is {tuple(noise.shape)}; these layouts need {shape}.")
    return noise.to(base.device)


def layout_tokens(adapter: IFAdapter, base: BaseModel, layout: Layout) -> InstanceTokens:
    """The adapter's tokens of a layout, conditional and unconditional."""
    return batch_tokens(adapter, base, [layout])[0]


@torch.no_grad()
def batch_tokens(adapter: IFAdapter, base: BaseModel, layouts: Sequence[Layout]) -> list[InstanceTokens]:
    """The adapter's tokens of each layout, encoded together."""
    texts = [text for layout in layouts for text in layout.local_descriptions]
    if not texts:
        return [adapter.no_instances() for _ in layouts]
    phrases = base.embed_phrases(texts, adapter.config.settings.text_depths)
    return tokens_of_phrases(adapter, phrases, layouts)


@torch.no_grad()
def tokens_of_phrases(
    adapter: IFAdapter, phrases: PhraseEmbeddings, layouts: Sequence[Layout]
) -> list[InstanceTokens]:
    """The adapter's tokens of each layout.

    phrases: of all instances, layout by layout, in the adapter's dtype and on its device.
    """
    boxes = torch.tensor([box for layout in layouts for box in layout.boxes])
    tokens = adapter.encode_instances(
        phrases.phrase_embeds, phrases.attention_mask, phrases.eot_embeds, boxes
    )
    counts = [len(layout.instances) for layout in layouts]
    parts = (part.split(counts) for part in (tokens.cond, tokens.uncond, tokens.boxes))
    return [
        replace(tokens, cond=cond, uncond=uncond, boxes=box, strengths=_strengths(layout))
        for layout, cond, uncond, box in zip(layouts, *parts, strict=True)
    ]


def _strengths(layout: Layout) -> tuple[float, ...]:
    return tuple(instance.strength for instance in layout.instances)


def canvas_of(layouts: Sequence[Layout]) -> tuple[int, int]:
    """Height and width, in pixels, of the layouts of a batch. Raises ValueError if they differ."""
    sizes = {(layout.height, layout.width) for layout in layouts}
    if len(sizes) != 1:
        raise ValueError(f"The layouts of one batch have different sizes: {sorted(sizes)}.")
    return sizes.pop()
