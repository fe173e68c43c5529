"""IFAdapterApply in real sampling runs: when it acts, on which rows, beside which neighbours, and what it leaves alone."""

from __future__ import annotations

import copy
import gc
import logging
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy_extras import nodes_custom_sampler
from comfy_extras.nodes_model_advanced import ModelSamplingContinuousEDM, ModelSamplingDiscrete
from comfy_extras.nodes_perpneg import Guider_PerpNeg
from comfy_extras.nodes_sag import SelfAttentionGuidance
from torch import Tensor

import dense
import nodes
import reference
import small_models

TOLERANCE = 5e-5  # one UNet call, outputs of order 1
SAMPLED = 1e-5  # of the largest value, after a few steps
SIZE = (24, 20)
POSITIVE, NEGATIVE = dense.make_conditioning(11), dense.make_conditioning(12)


@pytest.fixture(scope="module")
def inputs():
    return dense.make_inputs(2, 32, 32)


def sample(
    model: Any, *, cfg: float = 7.5, steps: int = 3, batch: int = 1, size: tuple[int, int] = SIZE
) -> Tensor:
    """The host's KSampler."""
    latent = {"samples": torch.zeros(batch, 4, *size)}
    return nodes.common_ksampler(model, 7, steps, cfg, "euler", "normal", POSITIVE, NEGATIVE, latent)[0][
        "samples"
    ]


def sample_sigmas(guider: Any, sigmas: Sequence[float]) -> Tensor:
    """A guider of the host over these sigmas."""
    latent = torch.zeros(1, 4, *SIZE)
    noise = comfy.sample.prepare_noise(latent, 7)
    return guider.sample(
        noise, latent, comfy.samplers.sampler_object("euler"), torch.tensor(sigmas), disable_pbar=True, seed=7
    )


def sample_three(guider: Any) -> Tensor:
    """A guider of the host that takes three conditionings, the positive first."""
    guider.set_conds(POSITIVE, NEGATIVE, dense.make_conditioning(13))
    guider.set_cfg(5.0, 2.0)
    return sample_sigmas(guider, (14.0, 4.0, 1.0, 0.0))


def cfg_guider(model: Any) -> comfy.samplers.CFGGuider:
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(5.0)
    return guider


def assert_sampled_alike(got: Tensor, want: Tensor, plain: Tensor) -> None:
    """Equal but for rounding, where the adapter makes a difference."""
    allowed = SAMPLED * want.abs().max().item()
    assert dense.difference(want, plain) > 100 * allowed
    assert dense.difference(got, want) <= allowed


def observed(model: Any, see: Callable[[dict], None]) -> Any:
    """A clone that shows the transformer options of every UNet call."""
    clone = model.clone()

    def wrap(executor: Any, *args: Any, **kwargs: Any) -> Tensor:
        out = executor(*args, **kwargs)
        see(args[5])
        return out

    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "test", wrap)
    return clone


def switched(model: Any, is_on: Callable[[float], bool], seen: set[bool]) -> Any:
    """A clone without any attn2 replacement in the calls whose sigma is_on denies."""
    clone = model.clone()

    def switch(apply_model: Callable[..., Tensor], call: dict) -> Tensor:
        on = is_on(call["timestep"].max().item())
        seen.add(on)
        options = call["c"]["transformer_options"]
        kept = options if on else {key: value for key, value in options.items() if key != "patches_replace"}
        return apply_model(call["input"], call["timestep"], **{**call["c"], "transformer_options": kept})

    clone.set_model_unet_function_wrapper(switch)
    return clone


def replacements(model: Any) -> dict:
    return model.model_options["transformer_options"]["patches_replace"]["attn2"]


# Nothing to do, nothing done


def test_strength_zero_changes_no_bit(apply, tokens, model, inputs):
    off = apply(tokens, strength=0.0)
    assert (off.model_options, off.wrappers, off.callbacks) == (
        model.model_options,
        model.wrappers,
        model.callbacks,
    )  # and costs nothing
    assert torch.equal(dense.predict(off, inputs), dense.predict(model, inputs))
    assert torch.equal(sample(off), sample(model))


def test_empty_layout_changes_no_bit(node, apply, ifadapter, clip, model, inputs):
    layout = node("IFAdapterLayout", layout='{"caption": "a room", "boxes": []}', width=512, height=512)[0]
    off = apply(node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0])
    assert torch.equal(dense.predict(off, inputs), dense.predict(model, inputs))
    assert torch.equal(sample(off), sample(model))


@pytest.mark.parametrize("window", [(0.0, 0.0), (1.0, 1.0), (0.9, 0.91), (0.6, 0.4)])
def test_outside_the_window_no_bit_changes(apply, tokens, model, inputs, window):
    """Windows that no step falls into: beyond both ends, between two steps, and an inverted one."""
    off = apply(tokens, start_percent=window[0], end_percent=window[1])
    assert torch.equal(dense.predict(off, inputs, sigma=14.0), dense.predict(model, inputs, sigma=14.0))
    assert torch.equal(sample(off, steps=2), sample(model, steps=2))


def test_input_model_never_changes(apply, tokens, model, inputs):
    def state() -> list:
        return [
            copy.deepcopy(model.model_options),
            dict(model.object_patches),
            dict(model.patches),
            dict(model.callbacks),
            model.wrappers,
        ]

    options, weights = state(), {key: value.clone() for key, value in model.model.state_dict().items()}
    before = dense.predict(model, inputs), sample(model)
    for patched in (apply(tokens), apply(tokens, strength=0.0), apply(tokens, end_percent=0.4)):
        assert patched is not model
        sample(patched)
    assert state() == options
    assert all(torch.equal(value, weights[key]) for key, value in model.model.state_dict().items())
    assert torch.equal(dense.predict(model, inputs), before[0])
    assert torch.equal(sample(model), before[1])


# Sampling by the host


@pytest.mark.parametrize("cfg", [1.0, 7.5])
@pytest.mark.parametrize("batch", [1, 2])
def test_sampling(apply, tokens, term, model, cfg, batch):
    def run(patcher: Any) -> Tensor:
        return sample(patcher, cfg=cfg, batch=batch)

    assert_sampled_alike(run(apply(tokens)), run(dense.place(model, term)), run(model))


def test_sampling_with_the_attention_of_a_device(apply, tokens, term, model, monkeypatch):
    """Off the CPU the host's attention serves the instances too."""
    patched = apply(tokens)
    patcher = sys.modules[type(next(iter(replacements(patched).values()))).__module__]
    chosen, on_device = [], patcher._attention
    monkeypatch.setattr(
        patcher,
        "_attention",
        lambda device, options: chosen.append(device) or on_device(torch.device("cuda"), options),
    )
    assert_sampled_alike(sample(patched), sample(dense.place(model, term)), sample(model))
    assert {device.type for device in chosen} == {"cpu"}


def test_separate_calls_give_what_a_joint_one_gives(apply, tokens, model, monkeypatch):
    calls: list[list[int]] = []
    patched = observed(apply(tokens), lambda options: calls.append(options["cond_or_uncond"]))
    joint = sample(patched, batch=2)
    assert all(sorted(call) == [0, 1] for call in calls)
    calls.clear()
    with monkeypatch.context() as short:
        short.setattr(comfy.model_patcher.ModelPatcher, "get_free_memory", lambda self, device: 0)
        split = sample(patched, batch=2)
    assert sorted(calls) == [[0]] * 3 + [[1]] * 3
    assert_sampled_alike(split, joint, sample(model, batch=2))


@pytest.mark.parametrize(
    ("guider", "positive"),
    [
        pytest.param(Guider_PerpNeg, 0, id="PerpNeg: positive, negative, empty"),
        pytest.param(nodes_custom_sampler.Guider_DualCFG, 2, id="DualCFG: negative, middle, positive"),
    ],
)
def test_positive_rows_of_three_conditionings(apply, tokens, term, model, guider, positive):
    """Only the conditioning called positive gets the descriptions, wherever the guider puts it."""
    expected = dense.place(
        model, replace(term, positive=lambda chunks: [chunk == positive for chunk in chunks])
    )
    got, want, plain = (sample_three(guider(patcher)) for patcher in (apply(tokens), expected, model))
    assert_sampled_alike(got, want, plain)


def test_pass_that_runs_the_negative_alone(apply, tokens, term, model):
    """Self-attention guidance calls the UNet once more with the negative conditioning, which the host then numbers 0."""

    def run(patcher: Any) -> Tensor:
        guided = SelfAttentionGuidance.execute(patcher, 0.8, 2.0)
        return sample(guided.result[0])

    expected = dense.place(
        model, replace(term, positive=lambda chunks: [len(chunks) > 1 and chunk == 0 for chunk in chunks])
    )
    assert_sampled_alike(run(apply(tokens)), run(expected), run(model))


def test_guider_with_a_model_of_its_own_for_the_negative(apply, tokens, model):
    """The host: "Use the same model for ordinary CFG"."""
    if not hasattr(nodes_custom_sampler, "Guider_DualModel"):
        pytest.skip("this host has no such guider")
    patched, sigmas = apply(tokens), (14.0, 4.0, 1.0, 0.0)
    guider = nodes_custom_sampler.Guider_DualModel(patched, patched)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(5.0)
    assert_sampled_alike(
        sample_sigmas(guider, sigmas),
        sample_sigmas(cfg_guider(patched), sigmas),
        sample_sigmas(cfg_guider(model), sigmas),
    )


# The window


@pytest.mark.parametrize("window", [(0.0, 0.4), (0.4, 1.0), (0.3, 0.6)])
def test_window(apply, tokens, model, window):
    """As a run in which the patches are there for the steps inside the window only."""
    start, end = (model.get_model_object("model_sampling").percent_to_sigma(percent) for percent in window)
    seen: set[bool] = set()
    expected = switched(apply(tokens), lambda sigma: end <= sigma <= start, seen)
    got = sample(apply(tokens, start_percent=window[0], end_percent=window[1]), steps=6)
    assert torch.equal(got, sample(expected, steps=6))
    assert seen == {True, False}
    assert not torch.equal(got, sample(apply(tokens), steps=6))


def test_window_includes_its_ends(apply, tokens, model, inputs):
    start, end = (
        model.get_model_object("model_sampling").percent_to_sigma(percent) for percent in (0.2, 0.5)
    )
    windowed = apply(tokens, start_percent=0.2, end_percent=0.5)
    on, off = dense.predict(apply(tokens), inputs), dense.predict(model, inputs)
    for sigma, expected in ((start * 1.01, off), (start, on), (end, on), (end * 0.99, off)):
        assert torch.equal(dense.predict(windowed, inputs, sigma=sigma), expected)


@pytest.mark.parametrize(
    ("change", "percent", "between"),
    [
        pytest.param(
            lambda m: ModelSamplingContinuousEDM().patch(m, "v_prediction", 120.0, 0.002)[0],
            0.1,
            20.0,
            id="continuous",
        ),
        pytest.param(
            lambda m: ModelSamplingDiscrete().patch(m, "v_prediction", True)[0],
            0.02,
            30.0,
            id="zero terminal SNR",
        ),
    ],
)
def test_percent_follows_a_schedule_that_is_set_afterwards(apply, tokens, model, change, percent, between):
    now = model.get_model_object("model_sampling").percent_to_sigma(percent)
    later = change(model).get_model_object("model_sampling").percent_to_sigma(percent)
    assert now < between < later  # inside the window by the schedule of before, outside by the one in force
    sigmas = (later * 1.5, later * 1.1, between, 2.0, 0.0)
    got = sample_sigmas(cfg_guider(change(apply(tokens, end_percent=percent))), sigmas)
    seen: set[bool] = set()
    expected = switched(change(apply(tokens)), lambda sigma: sigma >= later, seen)
    assert torch.equal(got, sample_sigmas(cfg_guider(expected), sigmas))
    assert seen == {True, False}


# Neighbours


def theirs(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    """What another pack might put in the place of a cross attention."""
    return (0.8 * dense.text_attention(q, k, v, options) + 0.3 * v.mean(dim=1, keepdim=True)).to(q.dtype)


@pytest.mark.parametrize("length", [3, 2])
def test_adds_to_a_replacement_that_is_there_already(apply, tokens, term, model, inputs, length):
    """The host knows a replacement for one transformer block, and one for all blocks of an attention."""
    neighbour = model.clone()
    for layer in {layer[:length] for layer in dense.PLACES.values()}:
        neighbour.set_model_attn2_replace(theirs, *layer)
    neighbour.set_model_attn2_replace(theirs, "input", 7, 0)  # not one of ours
    expected = dense.predict(dense.place(neighbour, term, under=theirs), inputs)
    assert dense.difference(dense.predict(neighbour, inputs), dense.predict(model, inputs)) > 0.1
    assert dense.difference(dense.predict(apply(tokens, model=neighbour), inputs), expected) <= TOLERANCE


def test_replacement_of_one_block_goes_before_that_of_all(apply, tokens, term, model, inputs):
    """As the host itself would pick."""
    neighbour = model.clone()
    neighbour.set_model_attn2_replace(theirs, "output", 1, 0)
    neighbour.set_model_attn2_replace(lambda q, k, v, options: 0.5 * theirs(q, k, v, options), "output", 1)
    delta = dense.predict(apply(tokens, model=neighbour, strength=1e-6), inputs)
    assert dense.difference(delta, dense.predict(neighbour, inputs)) <= TOLERANCE


class Neighbour:
    """A patch object as the host knows them: with a model that must be loaded, and told where to move."""

    def __init__(self) -> None:
        self.own = comfy.model_patcher.ModelPatcher(torch.nn.Linear(2, 2), small_models.CPU, small_models.CPU)
        self.moves: list[Any] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
        return theirs(q, k, v, options)

    def models(self) -> list[Any]:
        return [self.own]

    def to(self, device_or_dtype: Any) -> Neighbour:
        self.moves.append(device_or_dtype)
        return self


def test_neighbour_behind_ours_is_still_loaded_and_moved(apply, tokens, model):
    neighbour = Neighbour()
    behind = model.clone()
    behind.set_model_attn2_replace(neighbour, "output", 0, 0)
    assert neighbour.own in behind.model_patches_models()
    patched = apply(tokens, model=behind)
    patched.model_patches_to(torch.float16)
    assert neighbour.own in patched.model_patches_models()
    assert neighbour.moves == [torch.float16]


@pytest.fixture(scope="module")
def second(load, make_tokens):
    """Another adapter: its ModelPatcher, its tokens for ten boxes, and its part in the oracle."""
    checkpoint = dense.make_checkpoint(seed=9)
    adapter = load("second.bin", checkpoint)
    return (
        adapter,
        make_tokens(dense.TEN, adapter),
        dense.make_term(checkpoint, dense.make_phrases(10), dense.TEN),
    )


def test_two_adapters_add_up(apply, tokens, term, second, model, inputs):
    adapter, own_tokens, own_term = second
    both = apply(own_tokens, ifadapter=adapter, model=apply(tokens, strength=0.7), strength=1.2)
    expected = dense.place(model, replace(term, strength=0.7), replace(own_term, strength=1.2))
    assert dense.difference(dense.predict(both, inputs), dense.predict(expected, inputs)) <= TOLERANCE


def test_two_adapters_keep_their_own_windows(apply, tokens, term, second, model):
    adapter, own_tokens, own_term = second
    edges = [model.get_model_object("model_sampling").percent_to_sigma(percent) for percent in (0.3, 0.6)]
    both = apply(own_tokens, ifadapter=adapter, model=apply(tokens, end_percent=0.6), start_percent=0.3)
    expected = dense.place(
        model,
        replace(term, active=lambda options: options["sigmas"].max() >= edges[1]),
        replace(own_term, active=lambda options: options["sigmas"].max() <= edges[0]),
    )
    assert_sampled_alike(sample(both, steps=5), sample(expected, steps=5), sample(apply(tokens), steps=5))


def test_two_adapters_agree_on_the_positive_rows(apply, tokens, term, second, model):
    adapter, own_tokens, own_term = second
    both = apply(own_tokens, ifadapter=adapter, model=apply(tokens))
    third_is_positive = {"positive": lambda chunks: [chunk == 2 for chunk in chunks]}
    expected = dense.place(model, replace(term, **third_is_positive), replace(own_term, **third_is_positive))
    got, want, plain = (
        sample_three(nodes_custom_sampler.Guider_DualCFG(patcher))
        for patcher in (both, expected, apply(tokens))
    )
    assert_sampled_alike(got, want, plain)


def test_layers_of_both_adapters_are_loaded(apply, tokens, second):
    adapter, own_tokens, _ = second
    first = apply(tokens)
    both = apply(own_tokens, ifadapter=adapter, model=first)
    assert {id(loaded) for loaded in first.model_patches_models()} < {
        id(loaded) for loaded in both.model_patches_models()
    }


# Clones


def test_clones_and_repetitions_give_the_same(apply, tokens, model, inputs):
    patched = apply(tokens)
    expected = dense.predict(patched, inputs)
    assert torch.equal(dense.predict(patched.clone().clone(), inputs), expected)
    assert torch.equal(dense.predict(apply(tokens), inputs), expected)
    sampled = sample(patched)
    assert torch.equal(sample(patched), sampled)
    assert torch.equal(sample(patched.clone().clone()), sampled)


def copied_weights(memo: dict) -> list:
    """What a deepcopy with this memo has copied of weights."""
    return [value for value in memo.values() if isinstance(value, (torch.nn.Module, Tensor))]


def test_deepcopy_of_the_options_copies_no_weights(apply, tokens, inputs):
    """Hosts before 2026 deep-copied the options at each clone, and some packs still do."""
    patched = apply(tokens)
    expected, memo = dense.predict(patched, inputs), {}
    clone = patched.clone()
    clone.model_options = copy.deepcopy(patched.model_options, memo)
    assert not copied_weights(memo)
    assert torch.equal(dense.predict(clone, inputs), expected)
    for patch in replacements(clone).values():
        patch.add(lambda out, *_: out)  # must not reach the model that it came from
    assert not torch.equal(dense.predict(clone, inputs), expected)
    assert torch.equal(dense.predict(patched, inputs), expected)


def test_deepcopy_of_the_options_of_a_run_copies_no_weights(apply, tokens):
    """In a run the options hold the wrappers too."""
    patched = apply(tokens, end_percent=0.4)
    expected, memo = sample(patched, steps=4), {}

    def copy_options(executor: Any, *args: Any, **kwargs: Any) -> Tensor:
        guider = executor.class_obj
        guider.model_options = copy.deepcopy(guider.model_options, memo)
        return executor(*args, **kwargs)

    copying = patched.clone()
    copying.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "test", copy_options)
    assert torch.equal(sample(copying, steps=4), expected)
    assert memo
    assert not copied_weights(memo)


# How the instances share the picture


def test_strengths_of_instances(apply, tokens, term, model, inputs):
    expected = dense.place(model, replace(term, strengths=(1.0, 0.5, 0.0)))
    for text in ("1, 0.5, 0", "1 0.5 0"):
        assert (
            dense.difference(
                dense.predict(apply(tokens, strengths=text), inputs), dense.predict(expected, inputs)
            )
            <= TOLERANCE
        )
    assert torch.equal(
        dense.predict(apply(tokens, strengths="1,1,1"), inputs), dense.predict(apply(tokens), inputs)
    )


def test_layout_order_hides_what_stands_behind(apply, tokens, term, model, inputs):
    def visible(height: int, width: int) -> Tensor:
        boxes = reference.box_masks(torch.tensor(dense.THREE), height, width)
        return torch.stack([boxes[i] & ~boxes[i + 1 :].any(dim=0) for i in range(3)])

    expected = dense.predict(dense.place(model, replace(term, masks=visible)), inputs)
    assert dense.difference(dense.predict(apply(tokens), inputs), expected) > 100 * TOLERANCE
    assert (
        dense.difference(dense.predict(apply(tokens, depth_order="layout order"), inputs), expected)
        <= TOLERANCE
    )


def test_masks_refine_the_boxes(apply, tokens, term, model, inputs):
    cells = torch.ones(3, 8, 8, dtype=torch.bool)  # the grid of a 32 x 32 latent
    cells[0, :5], cells[1, :, 6:], cells[2] = False, False, torch.eye(8, dtype=torch.bool)
    masks = cells.float().repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)
    expected = dense.place(
        model, replace(term, masks=lambda h, w: cells & reference.box_masks(torch.tensor(dense.THREE), h, w))
    )
    assert (
        dense.difference(dense.predict(apply(tokens, masks=masks), inputs), dense.predict(expected, inputs))
        <= TOLERANCE
    )


def test_masks_of_ones_change_no_bit(apply, tokens, inputs):
    assert torch.equal(
        dense.predict(apply(tokens, masks=torch.ones(3, 60, 44)), inputs),
        dense.predict(apply(tokens), inputs),
    )


def test_mask_that_is_empty_in_its_box_is_an_error(apply, tokens):
    masks = torch.ones(3, 64, 64)
    masks[1, 6:29, 35:61] = 0  # box 2, in pixels of the mask
    with pytest.raises(ValueError, match="Mask 2 is empty inside box 2"):
        apply(tokens, masks=masks)


def test_wrong_number_of_masks_is_an_error(apply, tokens):
    with pytest.raises(ValueError, match=r"\(2, 64, 64\) for 3 instances"):
        apply(tokens, masks=torch.ones(2, 64, 64))


@pytest.mark.parametrize(
    ("text", "named"),
    [("1, 2", "has 2 numbers"), ("1, 2, x", "'x'"), ("1, 2, inf", "finite"), ("1,2,nan", "finite")],
)
def test_wrong_strengths_are_an_error(apply, tokens, text, named):
    with pytest.raises(ValueError, match=named):
        apply(tokens, strengths=text)


# Precision


@pytest.mark.parametrize(
    ("dtype", "cast", "tolerance"),
    [
        pytest.param(torch.float16, None, 1e-2, id="float16"),
        pytest.param(torch.bfloat16, None, 8e-2, id="bfloat16"),
        pytest.param(torch.float8_e4m3fn, torch.float32, TOLERANCE, id="float8 weights, float32 arithmetic"),
        pytest.param(torch.float8_e4m3fn, torch.bfloat16, 8e-2, id="float8 weights, bfloat16 arithmetic"),
    ],
)
def test_precisions_of_the_model(apply, tokens, term, inputs, dtype, cast, tolerance):
    """The adapter computes in the precision of the queries; that of the stored weights does not matter."""
    base = small_models.small_model(dtype, cast=cast, output_scale=20.0)
    patched, expected, plain = (
        dense.predict(m, inputs) for m in (apply(tokens, model=base), dense.place(base, term), base)
    )
    assert dense.difference(expected, plain) > 3 * tolerance
    assert dense.difference(patched, expected) <= tolerance
    assert sample(apply(tokens, model=base), steps=2).isfinite().all()


def test_half_precision_adapter_file(load, apply, make_tokens, checkpoint, model, inputs):
    halves = {
        part: {key: value.half() for key, value in weights.items()} for part, weights in checkpoint.items()
    }
    adapter = load("half.bin", halves)
    assert {weight.dtype for weight in adapter.model.state_dict().values()} == {torch.float16}
    patched = apply(make_tokens(dense.THREE, adapter), ifadapter=adapter)
    expected = dense.place(model, dense.make_term(halves, dense.make_phrases(3), dense.THREE))
    assert dense.difference(dense.predict(patched, inputs), dense.predict(expected, inputs)) <= TOLERANCE


# Memory


def test_only_the_sampling_layers_are_loaded_for_sampling(apply, tokens, checkpoint, model):
    patched = apply(tokens)
    comfy.model_management.unload_all_models()
    loaded: dict[int, Any] = {}
    for entry in patched.model_patches_models():
        loaded[id(entry)] = entry
    assert loaded
    kept = sum(
        value.numel()
        for key, value in checkpoint["adapter_modules"].items()
        if key.split(".", 1)[1] not in ("to_k_ap.weight", "to_v_ap.weight", "k_norm.weight")
    )
    assert (
        sum(weight.numel() for entry in loaded.values() for weight in entry.model.state_dict().values())
        == kept
    )

    in_use: set[int] = set()

    def look(_options: dict) -> None:
        held = (entry.model for entry in comfy.model_management.current_loaded_models)
        in_use.update(id(patcher.model) for patcher in held if patcher is not None)

    sample(observed(patched, look))
    assert in_use == {id(model.model), *(id(entry.model) for entry in loaded.values())}


def test_no_copies_are_kept_after_a_run(apply, tokens):
    """Keys and values are cast to the queries' precision for a run, and forgotten with it."""
    base = small_models.small_model(torch.bfloat16)

    def copies(_options: Any = None) -> int:
        gc.collect()
        kept = (x for x in gc.get_objects() if type(x) is Tensor and x.dtype == torch.bfloat16)
        return sum(x.shape[-2:] == (13, small_models.ADAPTED_WIDTH) for x in kept)

    during: list[int] = []
    patched = observed(apply(tokens, model=base), lambda options: during.append(copies()))
    first = sample(patched, steps=2)
    assert len(during) == 2
    assert all(during)
    assert copies() == 0
    assert torch.equal(sample(patched, steps=2), first)


def test_dropped_model_frees_its_layers_at_once(apply, tokens):
    """Not when the garbage collector comes by: until then they would stay on the device."""
    patched = apply(tokens)
    layers = weakref.ref(patched.model_patches_models()[0])
    gc.disable()
    try:
        del patched
        assert layers() is None
    finally:
        gc.enable()


# Small pictures


def test_boxes_smaller_than_a_cell_work_with_one_warning(apply, make_tokens, checkpoint, model, caplog):
    """An 8 x 8 latent has 2 x 2 cells."""
    boxes = [(0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.4, 0.9), (0.0, 0.5, 0.5, 1.0), (0.55, 0.6, 0.9, 0.95)]
    term = dense.make_term(checkpoint, dense.make_phrases(4), boxes)
    patched = apply(make_tokens(boxes))
    with caplog.at_level(logging.WARNING):
        got = sample(patched, size=(8, 8))
    warnings = [record.getMessage() for record in caplog.records if "IFAdapter" in record.getMessage()]
    assert len(warnings) == 1
    assert "2 x 2 cells" in warnings[0]
    assert "box 2, 4 " in warnings[0]
    assert_sampled_alike(got, sample(dense.place(model, term), size=(8, 8)), sample(model, size=(8, 8)))
