"""Graphs that people really build: sizes, passes one after another, samplers, guidance with more passes, LoRAs, control, hooks."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.controlnet
import comfy.hooks
import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_model_downscale import PatchModelAddDownscale
from comfy_extras.nodes_model_merging import ModelMergeSimple
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import dense
import nodes
import small_models
from runs import NEGATIVE, OTHER, POSITIVE, SIZE, allowed, assert_alike, sample

# Sizes


def run_deep_shrink(model: Any) -> Tensor:
    """The UNet works on half the cells in the first part of the schedule."""
    shrunk = PatchModelAddDownscale.execute(model, 3, 2.0, 0.0, 0.35, True, "bicubic", "bicubic")[0]
    return sample(shrunk, size=(32, 24), steps=4)


class ShrunkTerm(dense.Term):
    """The oracle's part with the cells that the layer really has: a quarter of them while the UNet is shrunk."""

    def added(self, processor: int, q: Tensor, options: dict) -> Tensor | float:
        height, width = dense.grid_of(options["original_shape"])
        if q.shape[1] != height * width:
            height, width = dense.grid_of((2 * height, 2 * width))
            options = {**options, "original_shape": (*options["original_shape"][:2], 4 * height, 4 * width)}
        return super().added(processor, q, options)


def test_deep_shrink(apply, tokens, term, model):
    shrunk = ShrunkTerm(**vars(term))
    assert_alike(
        run_deep_shrink(apply(tokens)), run_deep_shrink(dense.place(model, shrunk)), run_deep_shrink(model)
    )


def latent_of(size: tuple[int, int], seed: int = 3) -> Tensor:
    return torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(168, 96), (96, 168)], ids=["1344 x 768", "768 x 1344"])
def test_large_sizes(apply, tokens, term, model, size):
    def run(patcher: Any) -> Tensor:
        return sample(patcher, size=size, steps=1, cfg=1.0)

    assert_alike(run(apply(tokens)), run(dense.place(model, term)), run(model))


def test_picture_to_picture(apply, tokens, term, model):
    def run(patcher: Any) -> Tensor:
        return sample(patcher, latent=latent_of(SIZE), steps=5, denoise=0.5)

    assert_alike(run(apply(tokens)), run(dense.place(model, term)), run(model))


def test_inpainting(apply, tokens, term, model):
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 6:18, 4:16] = 1

    def run(patcher: Any) -> Tensor:
        return sample(patcher, latent=latent_of(SIZE), noise_mask=mask)

    got = run(apply(tokens))
    assert_alike(got, run(dense.place(model, term)), run(model))
    assert dense.difference(got * (1 - mask), latent_of(SIZE) * (1 - mask)) <= 1e-4  # what is kept is kept


def test_second_pass_at_another_size(apply, tokens, term, model):
    """One patched model for both, as in a high-resolution fix."""

    def run(patcher: Any) -> Tensor:
        first = sample(patcher, size=(24, 16))
        larger = torch.nn.functional.interpolate(first, size=(36, 24), mode="nearest")
        return sample(patcher, latent=larger, denoise=0.6, steps=4)

    assert_alike(run(apply(tokens)), run(dense.place(model, term)), run(model))


# Rows


def test_prompts_of_unequal_length(apply, tokens, term, model):
    """So unequal that the host calls the UNet for each of them."""
    long = [[POSITIVE[0][0].repeat(1, 7, 1), POSITIVE[0][1]]]
    calls: list[int] = []

    def run(patcher: Any) -> Tensor:
        watched = patcher.clone()

        def wrap(apply_model: Callable[..., Tensor], call: dict) -> Tensor:
            calls.append(len(call["cond_or_uncond"]))
            return apply_model(call["input"], call["timestep"], **call["c"])

        watched.set_model_unet_function_wrapper(wrap)
        return sample(watched, positive=long)

    assert_alike(run(apply(tokens)), run(dense.place(model, term)), run(model))
    assert set(calls) == {1}


def test_a_batch_of_three(apply, tokens, term, model):
    def run(patcher: Any) -> Tensor:
        return sample(patcher, batch=3)

    assert_alike(run(apply(tokens)), run(dense.place(model, term)), run(model))


def test_guidance_by_perturbed_attention(apply, tokens, term, model):
    """One more pass of the positive conditioning alone."""

    def run(patcher: Any) -> Tensor:
        return sample(PerturbedAttentionGuidance.execute(patcher, 3.0)[0])

    assert_alike(run(apply(tokens)), run(dense.place(model, term)), run(model))


# Samplers and schedules


@pytest.mark.parametrize(
    ("sampler", "scheduler", "steps", "cfg"),
    [
        ("lcm", "sgm_uniform", 4, 1.0),
        ("euler", "simple", 1, 1.0),
        ("heun", "karras", 3, 5.0),
        ("dpmpp_2s_ancestral", "normal", 3, 5.0),
    ],
)
@pytest.mark.parametrize("window", [(0.0, 1.0), (0.0, 0.35)], ids=["all", "the first part"])
def test_samplers(apply, tokens, term, model, sampler, scheduler, steps, cfg, window):
    """Few steps, and stages between the steps: the adapter acts in those calls whose noise is inside the window."""
    sampling = model.get_model_object("model_sampling")
    start, end = (sampling.percent_to_sigma(percent) for percent in window)
    acting = replace(term, active=lambda options: end <= options["sigmas"].max().item() <= start)

    def run(patcher: Any) -> Tensor:
        torch.manual_seed(0)
        return sample(patcher, sampler=sampler, scheduler=scheduler, steps=steps, cfg=cfg)

    got = run(apply(tokens, start_percent=window[0], end_percent=window[1]))
    assert_alike(got, run(dense.place(model, acting)), run(model))


def test_sigmas_of_ones_own(apply, tokens, term, model):
    sigmas = torch.tensor([14.0, 9.5, 3.2, 1.1, 0.0])
    assert_alike(
        *(sample(patcher, sigmas=sigmas) for patcher in (apply(tokens), dense.place(model, term), model))
    )


# Changes of the weights


def lora_of(model: Any, strength: float) -> Any:
    """A clone with a LoRA on the queries of an adapted layer, by the host's own weight patches."""
    clone = model.clone()
    key = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q.weight"
    weight = model.model.state_dict()[key]
    difference = (
        torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)) / weight.shape[1] ** 0.5
    )
    assert clone.add_patches({key: ("diff", (difference,))}, strength)
    return clone


@pytest.mark.parametrize("order", ["before", "behind"])
def test_lora(apply, tokens, term, model, order):
    got = sample(
        lora_of(apply(tokens), 1.0) if order == "behind" else apply(tokens, model=lora_of(model, 1.0))
    )
    assert_alike(got, sample(dense.place(lora_of(model, 1.0), term)), sample(dense.place(model, term)))


def test_merged_models(apply, tokens, term, model):
    """The weights of two models mixed, with the adapter on the first: the host keeps that one's patches."""
    second = small_models.small_model(seed=4, output_scale=20.0)

    def merged(patcher: Any) -> Any:
        return ModelMergeSimple().merge(patcher, second, 0.4)[0]

    got, want, plain = (
        sample(merged(patcher)) for patcher in (apply(tokens), dense.place(model, term), model)
    )
    assert_alike(got, want, plain)


# Control and hooks


class Control(comfy.controlnet.ControlBase):
    """Adds the same to the middle of the UNet at every step, as a ControlNet's output is added."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict, batched_number: int, *_: Any, **__: Any
    ) -> dict[str, list]:
        height, width = dense.grid_of(self.size)
        hint = torch.randn(1, 64, height, width, generator=torch.Generator().manual_seed(6))
        return {"middle": [hint.expand(len(x_noisy), -1, -1, -1)], "output": [], "input": []}

    def copy(self) -> Control:
        copied = Control(self.size)
        self.copy_to(copied)
        return copied

    def pre_run(self, *_: Any) -> None:
        pass

    def get_models(self) -> list:
        return []


def controlled(conditioning: list, control: Control) -> list:
    return [
        [text, {**options, "control": control, "control_apply_to_uncond": False}]
        for text, options in conditioning
    ]


def test_control(apply, tokens, term, model):
    control = Control(SIZE)
    positive, negative = controlled(POSITIVE, control), controlled(NEGATIVE, control)
    got, want = (
        sample(patcher, positive=positive, negative=negative)
        for patcher in (apply(tokens), dense.place(model, term))
    )
    assert_alike(got, want, sample(dense.place(model, term)))


def test_weight_hooks_on_a_conditioning(apply, tokens, term, model):
    """A LoRA that acts on the positive conditioning only: the host calls the UNet for each set of weights."""
    key = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q.weight"
    weight = model.model.state_dict()[key]
    difference = (
        torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)) / weight.shape[1] ** 0.5
    )
    group = comfy.hooks.HookGroup()
    hook = comfy.hooks.WeightHook(strength_model=1.0, strength_clip=0.0)
    hook.weights = {key: ("diff", (difference,))}
    hook.need_weight_init = False
    group.add(hook)
    positive = comfy.hooks.set_hooks_for_conditioning(POSITIVE, group)
    got, want = (sample(patcher, positive=positive) for patcher in (apply(tokens), dense.place(model, term)))
    assert_alike(got, want, sample(dense.place(model, term)))


# Errors and interruptions

ERRORS = {
    "error": RuntimeError("a neighbour's"),
    "interrupt": comfy.model_management.InterruptProcessingException(),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_the_run_after_one_that_broke_off_is_right(apply, tokens, error):
    patched = apply(tokens)
    before = sample(patched)
    calls: list[int] = []

    def break_off(step: int, *_: Any) -> None:
        calls.append(step)
        if step == 1:
            raise error

    with pytest.raises(type(error)):
        sample(patched, steps=6, size=(32, 20), callback=break_off)
    assert calls == [0, 1]
    assert sample(patched).equal(before)


def test_out_of_memory_in_a_layer_leaves_nothing_behind(apply, tokens, model, monkeypatch):
    """The host frees memory and the user runs again."""
    patched = apply(tokens)
    before = sample(patched)
    replaced = patched.model_options["transformer_options"]["patches_replace"]["attn2"]
    kind = type(next(iter(replaced.values())))
    original, calls = kind.__call__, []

    def fail(self: Any, *args: Any) -> Tensor:
        calls.append(self)
        if len(calls) == 11:
            raise comfy.model_management.OOM_EXCEPTION("out of memory")
        return original(self, *args)

    monkeypatch.setattr(kind, "__call__", fail)
    with pytest.raises(comfy.model_management.OOM_EXCEPTION):
        sample(patched)
    monkeypatch.undo()
    comfy.model_management.unload_all_models()
    assert sample(patched).equal(before)


def test_a_clone_that_is_collected_while_another_runs(apply, tokens):
    patched = apply(tokens)
    before = sample(patched)
    clones = [patched.clone() for _ in range(3)]

    def collect(step: int, *_: Any) -> None:
        if clones:
            clones.pop()
        gc.collect()

    assert sample(patched, callback=collect).equal(before)


# Devices and types


class NoFloat64(TorchDispatchMode):
    """Refuses what Apple's GPUs do not have."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            assert not isinstance(value, Tensor) or value.dtype not in (torch.float64, torch.complex128), (
                function
            )
        return out


def test_nothing_is_computed_in_float64(node, ifadapter, clip, model):
    text = '{"boxes": [{"x": 0.1, "y": 0.1, "w": 0.5, "h": 0.6, "caption": "a cat"}]}'
    layout = node("IFAdapterLayout", layout=text, width=160, height=192)[0]
    with NoFloat64():
        tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
        semantic_map = node("IFAdapterSemanticMap", tokens=tokens, masks=torch.ones(1, 20, 20))[0]
        patched = node(
            "IFAdapterApply",
            model=model,
            ifadapter=ifadapter,
            semantic_map=semantic_map,
            strength=0.8,
            start_percent=0.0,
            end_percent=1.0,
        )[0]
        dense.predict(patched, dense.make_inputs(2))


class Quantised(torch.nn.Module):
    """A linear layer as GGUF packs make it: its weight is bytes that have no float type, made anew at every call."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.scale = linear.weight.detach().abs().max().item() / 127
        self.weight = torch.nn.Parameter(
            (linear.weight.detach() / self.scale).round().to(torch.int8), requires_grad=False
        )
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, self.weight.to(x.dtype) * self.scale, self.bias)


def test_quantised_layers(apply, tokens, term):
    base = small_models.small_model(output_scale=20.0)
    for module in list(base.model.diffusion_model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear) and name in ("to_q", "to_k", "to_v"):
                setattr(module, name, Quantised(child))
    got, want, plain = (
        sample(patcher) for patcher in (apply(tokens, model=base), dense.place(base, term), base)
    )
    assert_alike(got, want, plain)


def test_partly_loaded(apply, tokens):
    """The host keeps most of the weights of model and adapter where they are stored, and fetches them when they are used."""
    base = small_models.small_model(output_scale=20.0)
    patched = apply(tokens, model=base)
    whole = sample(patched)
    comfy.model_management.unload_all_models()
    patched.partially_load(patched.load_device, 64 * 1024)
    for layers in {id(entry): entry for entry in patched.model_patches_models()}.values():
        layers.partially_load(layers.load_device, 1024)
    assert dense.difference(sample(patched), whole) <= allowed(whole)


def test_a_masked_region_beside_the_whole_picture(apply, tokens, term, model):
    """Both are positive, and the region has a strength of its own."""
    mask = torch.zeros(1, *SIZE)
    mask[:, 4:12] = 1
    positive = POSITIVE + nodes.ConditioningSetMask().append(OTHER, mask, "default", 0.6)[0]
    assert_alike(
        *(sample(patcher, positive=positive) for patcher in (apply(tokens), dense.place(model, term), model))
    )
