"""Other packs' patches behind ours, in the ways they are really made; and what is said when nothing of ours is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_hypertile import HyperTile
from comfy_extras.nodes_tomesd import TomePatchModel
from comfy_extras.nodes_torch_compile import skip_torch_compile_dict
from torch import Tensor

import dense
from runs import allowed, assert_alike, sample, warnings_of

SHARE = 0.1  # of the queries, that the neighbour adds
ALWAYS = {"sigma_start": 999999999.9, "sigma_end": 0.0}


# Packs that add themselves to what sits in the slot, as ComfyUI_IPAdapter_plus does


def share_of_queries(
    out: Tensor, q: Tensor, k: Tensor, v: Tensor, extra_options: dict, share: float, **_: Any
) -> Tensor:
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


class Remembering:
    """Attention that gives what it made in the first call of a layer again, as packs do that reuse results."""

    def __init__(self) -> None:
        self.made: dict[Any, tuple[Tensor, Tensor]] = {}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        return self.remember(extra_options, lambda: optimized_attention(q, k, v, extra_options["n_heads"]))

    def override(self, func: Callable, *args: Any, **kwargs: Any) -> Tensor:
        options = kwargs["transformer_options"]
        make = lambda: func(*args, **kwargs)  # noqa: E731
        return self.remember(options, make) if args[1].shape[1] == 77 else make()  # cross attention only

    def remember(self, options: dict, make: Callable[[], Tensor]) -> Tensor:
        key = (*options["block"], options["block_index"])
        if key not in self.made:
            out = make()
            self.made[key] = (out, out.clone())
        return self.made[key][0]


@pytest.mark.parametrize("way", ["replace", "override"])
def test_what_somebody_else_made_stays_as_it_is(apply, tokens, model, way):
    neighbour, base = Remembering(), model.clone()
    if way == "replace":
        for block in dense.PLACES.values():
            base.set_model_attn2_replace(neighbour, *block)
    else:
        base.model_options["transformer_options"]["optimized_attention_override"] = neighbour.override
    sample(apply(tokens, model=base))
    assert neighbour.made
    for out, first in neighbour.made.values():
        assert torch.equal(out, first)


def test_what_is_added_to_a_clone_does_not_reach_the_original(apply, tokens, model):
    patched = apply(tokens)
    before = sample(patched)
    once = sample(with_neighbour(patched))
    assert sample(patched).equal(before)
    assert not once.equal(before)
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
    assert not late.equal(sample(patched))
    assert not late.equal(sample(with_neighbour(patched)))


# Packs for regional prompts, which multiply the positive rows and take a mean afterwards


def coupled(model: Any, tell: Callable[[dict, list[int]], None], copies: int = 2, spare: int = 0) -> Any:
    """A clone as such packs make it. tell(options, numbers) leaves word of the rows. spare: rows too many."""
    clone = model.clone()

    def times(options: dict) -> list[int]:
        return [1 if chunk == 1 else copies for chunk in options["told"]]

    def multiply(n: Tensor, context: Tensor, value: Tensor, options: dict) -> tuple[Tensor, ...]:
        options["told"] = list(options["cond_or_uncond"])
        counts = times(options)
        tell(
            options,
            [chunk for chunk, count in zip(options["told"], counts, strict=True) for _ in range(count)],
        )

        def more(x: Tensor) -> Tensor:
            parts = [
                part.repeat(count, 1, 1) for part, count in zip(x.chunk(len(counts)), counts, strict=True)
            ]
            return torch.cat([*parts, *[parts[-1][:1]] * spare])

        return more(n), more(context), more(value)

    def join(out: Tensor, options: dict) -> Tensor:
        counts = times(options)
        out = out[: len(out) - spare] if spare else out
        rows = out.shape[0] // sum(counts)
        parts = out.split([rows * count for count in counts])
        options["cond_or_uncond"][:] = options["told"]
        return torch.cat(
            [part.unflatten(0, (count, rows)).mean(dim=0) for part, count in zip(parts, counts, strict=True)]
        )

    clone.set_model_attn2_patch(multiply)
    clone.set_model_attn2_output_patch(join)
    return clone


def in_place(options: dict, numbers: list[int]) -> None:
    options["cond_or_uncond"][:] = numbers


CONVENTIONS: dict[str, Callable[[dict, list[int]], None]] = {
    "nothing is told": lambda options, numbers: None,
    "cond_or_uncond_couple": lambda options, numbers: options.update(cond_or_uncond_couple=numbers),
    "cond_or_uncond_hook_couple": lambda options, numbers: options.update(cond_or_uncond_hook_couple=numbers),
    "cond_or_uncond in place": in_place,
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_positive_rows_that_were_multiplied(apply, tokens, term, model, convention):
    """The copies are equal, so nothing may change."""
    got = sample(apply(tokens, model=coupled(model, CONVENTIONS[convention])), batch=2)
    assert_alike(got, sample(dense.place(model, term), batch=2), sample(model, batch=2))


def test_rows_that_cannot_be_told_leave_the_adapter_out_with_one_warning(apply, tokens, model, caplog):
    neighbour = coupled(model, CONVENTIONS["nothing is told"], copies=1, spare=1)
    got, plain = sample(apply(tokens, model=neighbour), batch=2), sample(neighbour, batch=2)
    assert got.equal(plain)
    assert len(warnings_of(caplog)) == 1
    assert "cannot tell which rows are positive" in caplog.text


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
        options = (
            args[-1]
            if isinstance(args[-1], dict) and "patches_replace" in args[-1]
            else kwargs["transformer_options"]
        )
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


def test_compiled_with_a_filter_of_guards_it_acts_or_says_that_it_does_not(apply, tokens, model, caplog):
    """The host's own compile node lets a trace from before the patches be used again."""
    options = {"guard_filter_fn": skip_torch_compile_dict}
    plain = sample(compiled(model, **options))
    patched = apply(tokens)
    got, want = sample(compiled(patched, **options)), sample(patched)
    if dense.difference(got, want) > allowed(want):
        assert dense.difference(got, plain) <= allowed(plain)
        assert len(warnings_of(caplog)) == 1
        assert "If the model is compiled" in caplog.text
    else:
        assert not warnings_of(caplog)
