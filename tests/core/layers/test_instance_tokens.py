"""Instance tokens against the reference: resampler, position net, null condition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import reference
from ifadapter_core.checkpoint import AdapterWeights, build_adapter, read_checkpoint
from ifadapter_core.semantic_map import SemanticMap
from ifadapter_core.tokens import InstanceTokens
from layer_scenes import TOLERANCE, adapter, difference, exact_checkpoint, make_phrases


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    lengths=st.lists(st.integers(0, 11).filter(lambda n: n != 1), min_size=1, max_size=4),
    quirk=st.booleans(),
    mask_dtype=st.sampled_from([torch.int64, torch.bool, torch.float32]),
)
@example(seed=1, lengths=[11, 2, 3, 4], quirk=True, mask_dtype=torch.int64)
@example(seed=1, lengths=[11, 2, 3, 4], quirk=False, mask_dtype=torch.int64)
def test_instance_tokens_match_the_reference(
    seed: int, lengths: list[int], quirk: bool, mask_dtype: torch.dtype
) -> None:
    phrases = make_phrases(seed, lengths, 11, mask_dtype=mask_dtype)
    given_mask = phrases.attention_mask.clone()
    tokens = adapter(quirk=quirk).encode_instances(*phrases.all())
    want = phrases.all(torch.float64)
    assert difference(tokens.cond, reference.instance_tokens(exact_checkpoint(), *want, quirk)) < TOLERANCE
    assert difference(tokens.uncond, reference.null_tokens(exact_checkpoint(), *want, quirk)) < TOLERANCE
    assert tokens.boxes.equal(phrases.boxes)
    assert tokens.strengths == (1.0,) * len(lengths)
    assert phrases.attention_mask.equal(given_mask)  # inputs are not modified


@pytest.mark.parametrize("quirk", [True, False])
def test_float64_inputs_and_weights_are_kept(quirk: bool) -> None:
    weights = read_checkpoint(exact_checkpoint())
    config = replace(weights.config, settings=replace(weights.config.settings, cumulative_mask=quirk))
    phrases = make_phrases(5, [7, 4, 9], 11)
    tokens = build_adapter(AdapterWeights(config, weights.tensors)).encode_instances(
        *phrases.all(torch.float64)
    )
    assert tokens.cond.dtype == torch.float64
    assert (
        difference(
            tokens.cond, reference.instance_tokens(exact_checkpoint(), *phrases.all(torch.float64), quirk)
        )
        < TOLERANCE
    )


def test_mask_quirk_changes_tokens() -> None:
    phrases = make_phrases(2, [8], 11)
    on, off = (adapter(quirk=quirk).encode_instances(*phrases.all()).cond for quirk in (True, False))
    assert difference(on, off) > 1e-2
    short = make_phrases(2, [3], 11)  # a single word, which the first layer may not hide
    on, off = (adapter(quirk=quirk).encode_instances(*short.all()).cond for quirk in (True, False))
    assert difference(on, off) == 0


@pytest.mark.parametrize(
    ("depth", "queries", "heads", "head_dim", "mlp_ratio"),
    [(1, 1, 1, 8, 1), (2, 3, 3, 16, 2), (6, 8, 2, 16, 4)],
)
def test_resamplers_of_other_sizes(
    depth: int, queries: int, heads: int, head_dim: int, mlp_ratio: int
) -> None:
    data = reference.make_release_checkpoint(
        3,
        text_width=20,
        token_width=28,
        dim=24,
        depth=depth,
        queries=queries,
        heads=heads,
        head_dim=head_dim,
        mlp_ratio=mlp_ratio,
    )
    generator = torch.Generator().manual_seed(depth)
    phrase_embeds, mask = torch.randn(2, 3, 9, 20, generator=generator), torch.ones(2, 9).tril(6)
    got = build_adapter(read_checkpoint(data)).resampler(phrase_embeds, mask)
    want = reference.resampler(reference.double(data)["text_proj_model"], phrase_embeds.double(), mask)
    assert difference(got, want.flatten(1, 2)) < TOLERANCE


def test_tokens_after_the_eot_are_ignored() -> None:
    phrases = make_phrases(4, [5, 7], 11)
    changed = phrases.phrase_embeds.clone()
    changed[0, :, 5:] += 10
    changed[1, :, 7:] += 10
    net = adapter()
    before, after = net.encode_instances(*phrases.all()), net.encode_instances(changed, *phrases.all()[1:])
    assert before.cond.equal(after.cond)


def test_instances_are_encoded_independently() -> None:
    phrases = make_phrases(6, [5, 7, 2], 11)
    together = adapter().encode_instances(*phrases.all())
    for i in range(3):
        alone = adapter().encode_instances(*(part[i : i + 1] for part in phrases.all()))
        assert difference(alone.cond[0], together.cond[i]) < TOLERANCE


@pytest.mark.parametrize("name", ["phrase_embeds", "attention_mask", "eot_embeds", "boxes"])
def test_error_names_the_input_with_a_wrong_shape(name: str) -> None:
    parts = dict(
        zip(
            ("phrase_embeds", "attention_mask", "eot_embeds", "boxes"),
            make_phrases(0, [5, 6], 11).all(),
            strict=True,
        )
    )
    parts[name] = parts[name][..., :-1] if name != "attention_mask" else parts[name][:1]
    with pytest.raises(ValueError, match=f"{name} has shape .* expects"):
        adapter().encode_instances(**parts)


def test_select_keeps_slices() -> None:
    tokens = adapter().encode_instances(*make_phrases(7, [5, 7], 11).all())
    for name in ("cond", "uncond"):
        whole = getattr(tokens, name)
        assert whole.shape[1] == 13
        assert getattr(tokens.select(appearance=True, eot=True), name).equal(whole)
        assert getattr(tokens.select(appearance=True, eot=False), name).equal(whole[:, :12])
        assert getattr(tokens.select(appearance=False, eot=True), name).equal(whole[:, 12:])
    ablated = tokens.select(appearance=False, eot=True)
    assert ablated.boxes.equal(tokens.boxes)
    assert ablated.strengths == tokens.strengths
    with pytest.raises(ValueError, match="switched off"):
        tokens.select(appearance=False, eot=False)


COND = torch.zeros(2, 13, 4)
PARTS: dict[str, Any] = {"cond": COND, "uncond": COND, "boxes": torch.zeros(2, 4), "strengths": (1.0, 1.0)}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"uncond": torch.zeros(2, 12, 4)}, r"cond has shape \(2, 13, 4\) and uncond \(2, 12, 4\)"),
        ({"uncond": torch.zeros(1, 13, 4)}, r"uncond \(1, 13, 4\)"),
        ({"cond": COND[0], "uncond": COND[0]}, r"cond has shape \(13, 4\)"),
        ({"boxes": torch.zeros(3, 4)}, r"boxes has shape \(3, 4\).* of 2 instances; expected \(2, 4\)"),
        ({"boxes": torch.zeros(2)}, r"boxes has shape \(2,\)"),
        ({"strengths": (1.0,)}, r"strengths 1 factors for the tokens of 2 instances"),
    ],
)
def test_inconsistent_parts_are_refused(part: dict[str, Any], message: str) -> None:
    InstanceTokens(**PARTS)
    with pytest.raises(ValueError, match=message):
        InstanceTokens(**{**PARTS, **part})


def test_values_of_tensors_compare_by_identity() -> None:
    tokens, other = InstanceTokens(**PARTS), InstanceTokens(**PARTS)
    assert tokens == tokens != other
    assert SemanticMap(tokens) != SemanticMap(tokens)
    assert len({tokens, other, tokens}) == 2
