"""Other packs' patches behind ours, in the ways they are really made; and what is said when nothing of ours is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dense
import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_hypertile import HyperTile
from comfy_extras.nodes_tomesd import TomePatchModel
from torch import Tensor

from runs import allowed, assert_alike, sample, warnings_of

SHARE = 0.1  # of the queries, that the neighbour adds
ALWAYS = {"sigma_start": 999999999.9, "sigma_end": 0.0}


# Packs that add themselves to what sits in the slot, as ComfyUI_IPAdapter_plus does


def share_of_queries(out: Tensor, q: Tensor, k: Tensor, v: Tensor, extra_options: dict, share: float, **_: Any) -> Tensor:
    return share * q


class Slot:
    """What such a pack puts into a slot that is free."""

    def __init__(self, callback: Callable, **options: Any) -> None:
        self.callbacks = [(callback, options)]

    def add(self, callback: Callable, **options: Any) -> None:
        self.callbacks.append((callback, options))

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        out = optimized_attention(q, k, v, extra_options["n_heads"])
        sigma = extra_options["sigmas"][0].item()
        for callback, options in self.callbacks:
            if options["sigma_end"] <= sigma <= options["sigma_start"]:
                out = out + callback(out, q, k, v, extra_options, **options)
        return out


def with_neighbour(model: Any, share: float = SHARE, schedule: dict = ALWAYS) -> Any:
    """A clone with the neighbour in the adapted layers, in the way that it does it."""
    clone = model.clone()
    options = clone.model_options["transformer_options"].copy()
    options["patches_replace"] = options.get("patches_replace", {}).copy()
    slots = options["patches_replace"]["attn2"] = options["patches_replace"].get("attn2", {}).copy()
    for key in dense.PLACES.values():
        if key in slots:
            slots[key].add(share_of_queries, share=share, **schedule)
        else:
            slots[key] = Slot(share_of_queries, share=share, **schedule)
    clone.model_options["transformer_options"] = options
    return clone


def shared_attention(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    """The oracle's cross attention with the neighbour's part."""
    return dense.text_attention(q, k, v, options) + SHARE * q.double()


@pytest.mark.parametrize("order", ["before", "behind"])
def test_a_neighbour_that_adds_itself(apply, tokens, term, model, order):
    got = with_neighbour(apply(tokens)) if order == "behind" else apply(tokens, model=with_neighbour(model))
    want = dense.place(model, term, under=shared_attention)
    assert_alike(sample(got), sample(want), sample(dense.place(model, term)))


def test_what_is_added_to_a_clone_does_not_reach_the_original(apply, tokens, model):
    patched = apply(tokens)
    before = sample(patched)
    once = sample(with_neighbour(patched))
    assert sample(patched).equal(before) and not once.equal(before)
    assert sample(with_neighbour(patched)).equal(once)  # a second run adds nothing to the first one's
    twice = with_neighbour(with_neighbour(patched))
    assert dense.difference(sample(twice), sample(with_neighbour(patched, 2 * SHARE))) <= allowed(once)


def test_what_is_added_behind_two_adapters_stays_there(apply, tokens, model):
    first = apply(tokens)
    before = sample(first)
    second = with_neighbour(apply(tokens, model=first))
    sample(second)
    assert sample(first).equal(before)


def test_an_added_callback_keeps_its_part_of_the_schedule(apply, tokens, model):
    patched = apply(tokens)
    never = with_neighbour(patched, schedule={"sigma_start": 1e-6, "sigma_end": 0.0})
    assert sample(never).equal(sample(patched))
    late = sample(with_neighbour(patched, schedule={"sigma_start": 5.0, "sigma_end": 0.0}))
    assert not late.equal(sample(patched)) and not late.equal(sample(with_neighbour(patched)))


# Nodes of the host that change attention or features elsewhere

NEIGHBOURS = {
    "HyperTile": lambda model: HyperTile.execute(model, 64, 2, 0, False)[0],
    "ToMe": lambda model: TomePatchModel.execute(model, 0.3)[0],
    "FreeU": lambda model: FreeU_V2.execute(model, 1.3, 1.4, 0.9, 0.2)[0],
}


@pytest.mark.parametrize("name", NEIGHBOURS)
@pytest.mark.parametrize("order", ["before", "behind"])
def test_nodes_of_the_host(apply, tokens, term, model, name, order):
    """Ours with the neighbour is the oracle with the neighbour."""
    change = NEIGHBOURS[name]
    torch.manual_seed(0)  # some draw lots
    got = sample(change(apply(tokens)) if order == "behind" else apply(tokens, model=change(model)))
    torch.manual_seed(0)
    want = sample(change(dense.place(model, term)))
    torch.manual_seed(0)
    assert_alike(got, want, sample(change(model)))


# Silence


def test_an_adapter_whose_place_was_taken_says_so_once(apply, tokens, model, caplog):
    taken = apply(tokens)
    for key in dense.PLACES.values():
        taken.set_model_attn2_replace(dense.text_attention_in_its_dtype, *key)
    plain = sample(model)
    assert dense.difference(sample(taken), plain) <= allowed(plain)
    assert len(warnings_of(caplog)) == 1
    assert "another node has taken its place" in caplog.text


def test_an_adapter_that_no_block_calls_says_so_once(apply, tokens, model, caplog):
    """As with compiled blocks that were traced without the patches, or blocks that are not run."""
    patched = apply(tokens)

    def hide(executor: Any, *args: Any, **kwargs: Any) -> Tensor:
        options = args[-1] if isinstance(args[-1], dict) and "patches_replace" in args[-1] else kwargs["transformer_options"]
        slots = options["patches_replace"].pop("attn2")
        try:
            return executor(*args, **kwargs)
        finally:
            options["patches_replace"]["attn2"] = slots

    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "test", hide)
    assert sample(patched).equal(sample(model))
    assert len(warnings_of(caplog)) == 1
    assert "the model did not call it" in caplog.text


def test_an_adapter_outside_its_part_of_the_schedule_is_silent(apply, tokens, caplog):
    sample(apply(tokens, start_percent=0.99, end_percent=1.0))
    assert not warnings_of(caplog)


def compiled(model: Any, **options: Any) -> Any:
    clone = model.clone()
    set_torch_compile_wrapper(model=clone, backend="eager", options=options or None)
    return clone


def test_compiled_without_a_filter_of_guards_it_is_what_it_is_uncompiled(apply, tokens, model, caplog):
    patched = apply(tokens)
    got, want, plain = sample(compiled(patched)), sample(patched), sample(model)
    assert_alike(got, want, plain)
    assert not warnings_of(caplog)
