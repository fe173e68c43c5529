"""The core against the method written out naively (tests/reference.py), in float64 with dense masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference
from ifadapter_core.adapter import IFAdapter
from ifadapter_core.attention import KeysValues
from ifadapter_core.checkpoint import AdapterWeights, build_adapter, read_checkpoint, release_name
from ifadapter_core.geometry import Geometry, build_geometry, cell_range
from ifadapter_core.packing import PADDING, pack_instances

TOLERANCE = 1e-5
PROCESSOR, WIDTH = 49, 32  # of the layer that most tests use
OTHER_PROCESSOR, OTHER_WIDTH = 121, 48
TEXT_WIDTH = 24
ORDERS = {"gate_before_softmax": "release", "gate_after_softmax": "paper"}


@cache
def checkpoint(seed: int = 0) -> reference.Checkpoint:
    return reference.make_release_checkpoint(seed, text_width=TEXT_WIDTH)


@cache
def exact(seed: int = 0) -> reference.Checkpoint:
    return reference.double(checkpoint(seed))


@cache
def adapter(
    seed: int = 0, quirk: bool = True, order: str = "gate_before_softmax", slots: int = 10
) -> IFAdapter:
    weights = read_checkpoint(checkpoint(seed))
    chosen: Any = {"cumulative_mask": quirk, "fusion_order": order, "slots": slots}
    config = replace(weights.config, settings=replace(weights.config.settings, **chosen))
    return build_adapter(AdapterWeights(config, weights.tensors))


def exact_layer(processor: int = PROCESSOR) -> reference.StateDict:
    return reference.part(exact()["adapter_modules"], f"{processor}.")


def difference(got: Tensor, want: Tensor) -> float:
    assert got.shape == want.shape
    return (got.double() - want.double()).abs().max().item()


# Text: resampler, position net, tokens


@dataclass(frozen=True)
class Phrases:
    phrase_embeds: Tensor
    attention_mask: Tensor
    eot_embeds: Tensor
    boxes: Tensor

    def all(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.phrase_embeds.to(dtype), self.attention_mask, self.eot_embeds.to(dtype), self.boxes


def make_phrases(
    seed: int,
    lengths: list[int],
    tokens: int,
    boxes: Tensor | None = None,
    mask_dtype: torch.dtype = torch.int64,
) -> Phrases:
    """Random text features whose masks count `lengths` tokens from BOS to EOT; 0 is the null condition."""
    generator = torch.Generator().manual_seed(seed)
    count = len(lengths)
    corners = (
        torch.rand(count, 2, 2, generator=generator).sort(dim=1).values.flatten(1) if boxes is None else boxes
    )
    return Phrases(
        torch.randn(count, 3, tokens, TEXT_WIDTH, generator=generator),
        (torch.arange(tokens) < torch.tensor(lengths)[:, None]).to(mask_dtype),
        torch.randn(count, TEXT_WIDTH, generator=generator),
        corners,
    )


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    lengths=st.lists(st.integers(0, 11).filter(lambda n: n != 1), min_size=1, max_size=4),
    quirk=st.booleans(),
    mask_dtype=st.sampled_from([torch.int64, torch.bool, torch.float32]),
)
@example(seed=1, lengths=[11, 2, 3, 4], quirk=True, mask_dtype=torch.int64)
@example(seed=1, lengths=[11, 2, 3, 4], quirk=False, mask_dtype=torch.int64)
def test_instance_tokens_are_those_of_the_reference(
    seed: int, lengths: list[int], quirk: bool, mask_dtype: torch.dtype
) -> None:
    phrases = make_phrases(seed, lengths, 11, mask_dtype=mask_dtype)
    given_mask = phrases.attention_mask.clone()
    tokens = adapter(quirk=quirk).encode_instances(*phrases.all())
    want = phrases.all(torch.float64)
    assert difference(tokens.cond, reference.instance_tokens(exact(), *want, quirk)) < TOLERANCE
    assert difference(tokens.uncond, reference.null_tokens(exact(), *want, quirk)) < TOLERANCE
    assert tokens.boxes.equal(phrases.boxes)
    assert tokens.strengths == (1.0,) * len(lengths)
    assert phrases.attention_mask.equal(given_mask)  # the quirk edits a mask of its own


@pytest.mark.parametrize("quirk", [True, False])
def test_float64_inputs_and_weights_are_kept(quirk: bool) -> None:
    weights = read_checkpoint(exact())
    config = replace(weights.config, settings=replace(weights.config.settings, cumulative_mask=quirk))
    phrases = make_phrases(5, [7, 4, 9], 11)
    tokens = build_adapter(AdapterWeights(config, weights.tensors)).encode_instances(
        *phrases.all(torch.float64)
    )
    assert tokens.cond.dtype == torch.float64
    assert (
        difference(tokens.cond, reference.instance_tokens(exact(), *phrases.all(torch.float64), quirk))
        < TOLERANCE
    )


def test_the_mask_quirk_matters_from_the_second_layer_on() -> None:
    phrases = make_phrases(2, [8], 11)
    on, off = (adapter(quirk=quirk).encode_instances(*phrases.all()).cond for quirk in (True, False))
    assert difference(on, off) > 1e-2
    short = make_phrases(2, [3], 11)  # one word: there is none left to hide
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


def test_words_after_the_eot_do_not_matter() -> None:
    phrases = make_phrases(4, [5, 7], 11)
    changed = phrases.phrase_embeds.clone()
    changed[0, :, 5:] += 10
    changed[1, :, 7:] += 10
    net = adapter()
    before, after = net.encode_instances(*phrases.all()), net.encode_instances(changed, *phrases.all()[1:])
    assert before.cond.equal(after.cond)


def test_each_instance_is_encoded_by_itself() -> None:
    phrases = make_phrases(6, [5, 7, 2], 11)
    together = adapter().encode_instances(*phrases.all())
    for i in range(3):
        alone = adapter().encode_instances(*(part[i : i + 1] for part in phrases.all()))
        assert difference(alone.cond[0], together.cond[i]) < TOLERANCE


@pytest.mark.parametrize("name", ["phrase_embeds", "attention_mask", "eot_embeds", "boxes"])
def test_wrong_shapes_are_named(name: str) -> None:
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


def test_select_keeps_slices_of_the_tokens() -> None:
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


# Geometry

FRACTIONS = st.one_of(
    st.floats(0, 1, width=32),
    st.tuples(st.integers(0, 24), st.integers(1, 24)).map(
        lambda pair: min(pair) / max(pair)
    ),  # grid lines, and 0.7 of ten cells
    st.sampled_from([0.0, 1.0, 0.1, 0.7, 0.999999, 1e-6]),
)


@st.composite
def spans(draw: st.DrawFn) -> tuple[float, float]:
    """Two different edges, the smaller first; tiny, touching a border and whole ones among them."""
    kind = draw(st.sampled_from(["any", "any", "tiny", "whole", "start", "end"]))
    if kind == "whole":
        return 0.0, 1.0
    if kind == "tiny":
        start = draw(st.floats(0, 0.998))
        return start, start + draw(st.sampled_from([1e-6, 1e-4, 1e-3]))
    first, second = draw(FRACTIONS), draw(FRACTIONS)
    if kind == "start":
        first = 0.0
    if kind == "end":
        second = 1.0
    low, high = min(first, second), max(first, second)
    return (low, high) if high - low > 1e-7 else (min(low, 0.5), min(low, 0.5) + 0.25)


@st.composite
def single_boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    (x0, x1), (y0, y1) = draw(spans()), draw(spans())
    return x0, y0, x1, y1


@settings(max_examples=300)
@given(box=single_boxes(), height=st.integers(1, 40), width=st.integers(1, 40))
@example(box=(0.7, 0.0, 0.9, 0.7), height=10, width=10)
@example(box=(0.3, 0.6, 0.7, 0.9), height=10, width=10)
@example(box=(0.9999999, 0.9999999, 1.0, 1.0), height=33, width=33)
@example(box=(1.0, 1.0, 1.0, 1.0), height=7, width=5)
@example(box=(0.5, 0.5, 0.5, 0.5), height=8, width=8)
def test_a_box_covers_the_cells_of_the_reference(
    box: tuple[float, float, float, float], height: int, width: int
) -> None:
    cells = cell_range(box, height, width)
    got = torch.zeros(height, width, dtype=torch.bool)
    got[cells.rows, cells.columns] = True
    assert got.equal(reference.box_mask(torch.tensor(box), height, width))
    assert cells.height * cells.width == int(got.sum()) > 0


def dense(geometry: Geometry) -> Tensor:
    """The covered cells of all instances, (N, h, w) booleans."""
    masks = torch.zeros(len(geometry.coverages), geometry.height, geometry.width, dtype=torch.bool)
    for mask, coverage in zip(masks, geometry.coverages, strict=True):
        mask[coverage.cells.rows, coverage.cells.columns] = (
            True if coverage.visible is None else coverage.visible
        )
    return masks


# Layers


@dataclass(frozen=True)
class Scene:
    """Instances on the grid of one layer, and random queries (R, h w, C) and tokens (R, N, M, D) for them."""

    boxes: Tensor
    height: int
    width: int
    seed: int = 0
    rows: int = 2

    @property
    def count(self) -> int:
        return len(self.boxes)

    def queries(self, width: int = WIDTH) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(self.rows, self.height * self.width, width, generator=generator)

    def tokens(self, per_instance: int = 13) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed + 1)
        return torch.randn(self.rows, self.count, per_instance, TEXT_WIDTH, generator=generator)


@st.composite
def scenes(draw: st.DrawFn, min_count: int = 1, max_count: int = 14) -> Scene:
    boxes: list[tuple[float, float, float, float]] = []
    for _ in range(draw(st.integers(min_count, max_count))):
        twin = boxes and draw(st.integers(0, 5)) == 0
        boxes.append(draw(st.sampled_from(boxes)) if twin else draw(single_boxes()))
    height, width = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    return Scene(torch.tensor(boxes), height, width, draw(st.integers(0, 99)), draw(st.integers(1, 3)))


def run(
    net: IFAdapter,
    scene: Scene,
    masks: Tensor | None = None,
    front_hides_back: bool = False,
    strengths: list[float] | None = None,
    processor: int = PROCESSOR,
    q: Tensor | None = None,
    tokens: Tensor | None = None,
) -> Tensor:
    """The residual of one layer by the core."""
    q = scene.queries() if q is None else q
    keys_values = net.keys_values(str(processor), scene.tokens() if tokens is None else tokens)
    geometry = build_geometry(scene.boxes, scene.height, scene.width, masks, front_hides_back)
    packed = pack_instances([geometry] * len(q), [strengths or [1.0] * scene.count] * len(q))
    return net.layers[str(processor)](q, flat(keys_values), packed)


def flat(keys_values: KeysValues) -> KeysValues:
    """Of all rows, one after the other."""
    return KeysValues(keys_values.k.flatten(0, 1), keys_values.v.flatten(0, 1))


def run_reference(scene: Scene, tokens: Tensor | None = None, **options: Any) -> Tensor:
    q, tokens = scene.queries().double(), (scene.tokens() if tokens is None else tokens).double()
    return reference.layer_residual(
        exact_layer(), q, tokens, scene.boxes, scene.height, scene.width, **options
    )


OVERLAPPING = Scene(
    torch.tensor(
        [
            [0.05, 0.1, 0.6, 0.7],
            [0.3, 0.3, 0.95, 0.9],
            [0.5, 0.0, 0.8, 0.5],
            [0.3, 0.3, 0.95, 0.9],
            [0.01, 0.93, 0.02, 0.94],
        ]
    ),
    height=9,
    width=12,
)
WHOLE_CANVAS = Scene(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), height=5, width=7)


@settings(max_examples=80)
@given(scene=scenes())
@example(scene=OVERLAPPING)
@example(scene=WHOLE_CANVAS)
@example(scene=Scene(torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 14), 3, 2))
@example(scene=Scene(torch.tensor([[0.9, 0.9, 0.90001, 0.90001]]), 11, 6))
def test_residual_is_that_of_the_reference(scene: Scene) -> None:
    assert difference(run(adapter(), scene), run_reference(scene)) < TOLERANCE


@settings(max_examples=50)
@given(scene=scenes(), slots=st.sampled_from([1, 2, 3, 8, 10, 12, 17]), order=st.sampled_from(sorted(ORDERS)))
@example(scene=OVERLAPPING, slots=10, order="gate_after_softmax")
@example(scene=OVERLAPPING, slots=5, order="gate_after_softmax")
@example(scene=OVERLAPPING, slots=4, order="gate_before_softmax")
@example(scene=OVERLAPPING, slots=6, order="gate_before_softmax")
def test_residual_for_other_slots_and_the_papers_order(scene: Scene, slots: int, order: str) -> None:
    got = run(adapter(order=order, slots=slots), scene)
    assert difference(got, run_reference(scene, slots=slots, order=ORDERS[order])) < TOLERANCE


@settings(max_examples=10)
@given(scene=scenes(max_count=5))
def test_residual_of_a_layer_of_another_width(scene: Scene) -> None:
    q, tokens = scene.queries(OTHER_WIDTH), scene.tokens()
    got = run(adapter(), scene, processor=OTHER_PROCESSOR, q=q)
    want = reference.layer_residual(
        exact_layer(OTHER_PROCESSOR), q.double(), tokens.double(), scene.boxes, scene.height, scene.width
    )
    assert difference(got, want) < TOLERANCE


@pytest.mark.parametrize("order", sorted(ORDERS))
def test_slots_gate_and_instances_all_matter_in_the_test_scene(order: str) -> None:
    """The comparisons above would prove little on weights for which these make no difference."""
    release = run_reference(OVERLAPPING, order=ORDERS[order])
    assert release.abs().max() > 0.1
    assert difference(release, run_reference(OVERLAPPING, order=ORDERS[order], slots=9)) > 1e-3
    other = next(name for name in ORDERS.values() if name != ORDERS[order])
    assert difference(release, run_reference(OVERLAPPING, order=other)) > 1e-2


@pytest.mark.parametrize("scene", [OVERLAPPING, WHOLE_CANVAS])
def test_float64_queries_give_a_float64_residual(scene: Scene) -> None:
    net = build_adapter(read_checkpoint(exact()))
    got = run(net, scene, q=scene.queries().double(), tokens=scene.tokens().double())
    assert got.dtype == torch.float64
    assert difference(got, run_reference(scene)) < TOLERANCE


def test_rows_are_independent_and_have_their_own_keys_and_values() -> None:
    net, scene = adapter(), replace(OVERLAPPING, rows=3)
    q, tokens = scene.queries(), scene.tokens()
    together = run(net, scene)
    for row in range(3):
        alone = run(net, replace(scene, rows=1), q=q[row : row + 1], tokens=tokens[row : row + 1])
        assert difference(alone[0], together[row]) < TOLERANCE
    swapped = run(net, scene, tokens=tokens[[1, 0, 2]])
    assert difference(swapped[2], together[2]) < TOLERANCE
    assert difference(swapped[0], together[0]) > 1e-2


def test_tokens_of_the_adapter_itself_go_through_a_layer() -> None:
    """Text to residual in one go, cond and uncond rows together, as in sampling."""
    scene = replace(OVERLAPPING, rows=2)
    phrases = make_phrases(8, [5, 11, 3, 8, 6], 11, scene.boxes)
    tokens = adapter().encode_instances(*phrases.all())
    want = phrases.all(torch.float64)
    rows = torch.stack([reference.null_tokens(exact(), *want), reference.instance_tokens(exact(), *want)])
    got = run(adapter(), scene, tokens=torch.stack([tokens.uncond, tokens.cond]))
    assert difference(got, run_reference(scene, rows)) < TOLERANCE


@settings(max_examples=25)
@given(scene=scenes())
def test_residual_is_exactly_zero_outside_the_boxes(scene: Scene) -> None:
    background = ~reference.box_masks(scene.boxes, scene.height, scene.width).any(dim=0)
    residual = run(adapter(), scene).unflatten(1, (scene.height, scene.width))
    assert bool((residual[:, background] == 0).all())
    assert bool((residual[:, ~background].abs().amax(dim=-1) > 0).all())


@settings(max_examples=30)
@given(scene=scenes(min_count=2), order=st.sampled_from(sorted(ORDERS)), data=st.data())
def test_the_order_of_the_instances_does_not_matter(scene: Scene, order: str, data: st.DataObject) -> None:
    permutation = data.draw(st.permutations(range(scene.count)))
    net = adapter(order=order)
    got = run(
        net,
        replace(scene, boxes=scene.boxes[permutation]),
        q=scene.queries(),
        tokens=scene.tokens()[:, permutation],
    )
    assert difference(got, run(net, scene)) < TOLERANCE


# Strengths


@settings(max_examples=30)
@given(scene=scenes(max_count=8), order=st.sampled_from(sorted(ORDERS)), data=st.data())
def test_strengths_scale_each_instances_own_share(scene: Scene, order: str, data: st.DataObject) -> None:
    strengths = data.draw(
        st.lists(st.sampled_from([0.0, 0.3, 1.0, 1.7, -0.5]), min_size=scene.count, max_size=scene.count)
    )
    got = run(adapter(order=order), scene, strengths=strengths)
    assert difference(got, run_reference(scene, order=ORDERS[order], strengths=strengths)) < TOLERANCE


def test_strength_0_of_one_instance_leaves_the_shares_of_the_others() -> None:
    net, scene = adapter(), OVERLAPPING
    whole = run(net, scene)
    shares = [
        run(net, scene, strengths=[float(i == chosen) for i in range(scene.count)])
        for chosen in range(scene.count)
    ]
    assert difference(torch.stack(shares).sum(dim=0), whole) < TOLERANCE
    assert difference(run(net, scene, strengths=[1.0, 0.0, 1.0, 1.0, 1.0]), whole - shares[1]) < TOLERANCE
    assert difference(run(net, scene, strengths=[0.5] * 5), 0.5 * whole) < TOLERANCE
    assert run(net, scene, strengths=[0.0] * 5).abs().max() == 0


# Depth order and masks


def front_only(masks: Tensor) -> Tensor:
    """Each cell belongs to the last instance that covers it."""
    kept = masks.clone()
    for i in range(len(masks)):
        for nearer in masks[i + 1 :]:
            kept[i] &= ~nearer
    return kept


@settings(max_examples=30)
@given(scene=scenes(min_count=2), order=st.sampled_from(sorted(ORDERS)))
@example(scene=OVERLAPPING, order="gate_before_softmax")
@example(
    scene=Scene(torch.tensor([[0.2, 0.2, 0.7, 0.7], [0.0, 0.0, 1.0, 1.0]]), 6, 5), order="gate_before_softmax"
)
def test_front_hides_back_gives_overlaps_to_the_later_instance_alone(scene: Scene, order: str) -> None:
    masks = front_only(reference.box_masks(scene.boxes, scene.height, scene.width))
    geometry = build_geometry(scene.boxes, scene.height, scene.width, front_hides_back=True)
    assert dense(geometry).equal(masks)
    assert [coverage.area for coverage in geometry.coverages] == masks.sum(dim=(1, 2)).tolist()
    got = run(adapter(order=order), scene, front_hides_back=True)
    assert difference(got, run_reference(scene, order=ORDERS[order], masks=masks)) < TOLERANCE


def test_a_front_instance_of_strength_0_still_hides_what_is_behind_it() -> None:
    scene = Scene(torch.tensor([[0.0, 0.0, 0.6, 1.0], [0.4, 0.0, 1.0, 1.0]]), 4, 10)
    residual = run(adapter(), scene, front_hides_back=True, strengths=[1.0, 0.0]).unflatten(1, (4, 10))
    assert residual[:, :, 4:].abs().max() == 0
    assert bool((residual[:, :, :4].abs().amax(dim=-1) > 0).all())


@settings(max_examples=30)
@given(scene=scenes(max_count=6), size=st.tuples(st.integers(1, 40), st.integers(1, 40)), hides=st.booleans())
def test_an_all_ones_mask_equals_no_mask(scene: Scene, size: tuple[int, int], hides: bool) -> None:
    ones = torch.ones(scene.count, *size)
    assert run(adapter(), scene, ones, hides).equal(run(adapter(), scene, None, hides))


def random_masks(scene: Scene, factor: int, style: str) -> Tensor:
    """Masks (N, h factor, w factor): blobs of ones, soft values in eighths, or faint ones that half cover no cell."""
    generator = torch.Generator().manual_seed(scene.seed + 2)
    shape = (scene.count, scene.height * factor, scene.width * factor)
    if style == "hard":
        return (torch.rand(shape, generator=generator) < 0.5).float()
    if style == "soft":
        return torch.randint(0, 9, shape, generator=generator) / 8
    if style == "empty":
        return torch.zeros(shape)
    return torch.randint(0, 4, shape, generator=generator) / 8  # faint


def refined(scene: Scene, masks: Tensor, factor: int) -> Tensor:
    """Box cells that the mask covers by half or more; where there are none, those that it covers most, if at all."""
    boxes = reference.box_masks(scene.boxes, scene.height, scene.width)
    kept = torch.zeros_like(boxes)
    for i in range(scene.count):
        covered = {}
        for y, x in boxes[i].nonzero().tolist():
            covered[y, x] = (
                masks[i, y * factor : (y + 1) * factor, x * factor : (x + 1) * factor].mean().item()
            )
        threshold = 0.5 if max(covered.values()) >= 0.5 else max(covered.values())
        for (y, x), part in covered.items():
            kept[i, y, x] = part > 0 and part >= threshold
    return kept


@settings(max_examples=40)
@given(
    scene=scenes(max_count=6),
    factor=st.sampled_from([1, 2, 4]),
    style=st.sampled_from(["hard", "soft", "faint", "empty"]),
    hides=st.booleans(),
    order=st.sampled_from(sorted(ORDERS)),
)
@example(scene=OVERLAPPING, factor=2, style="hard", hides=False, order="gate_before_softmax")
@example(scene=OVERLAPPING, factor=4, style="faint", hides=True, order="gate_before_softmax")
@example(scene=OVERLAPPING, factor=1, style="empty", hides=True, order="gate_before_softmax")
@example(scene=WHOLE_CANVAS, factor=2, style="hard", hides=False, order="gate_before_softmax")
def test_masks_refine_the_boxes(scene: Scene, factor: int, style: str, hides: bool, order: str) -> None:
    masks = random_masks(scene, factor, style)
    want = refined(scene, masks, factor)
    want = front_only(want) if hides else want
    assert dense(build_geometry(scene.boxes, scene.height, scene.width, masks, hides)).equal(want)
    got = run(adapter(order=order), scene, masks, hides)
    assert difference(got, run_reference(scene, order=ORDERS[order], masks=want)) < TOLERANCE


def test_a_mask_never_reaches_beyond_its_box() -> None:
    scene = Scene(torch.tensor([[0.25, 0.25, 0.75, 0.75]]), 8, 8)
    masks = torch.zeros(1, 8, 8)
    masks[0, :, :4] = 1
    residual = run(adapter(), scene, masks).unflatten(1, (8, 8)).abs().amax(dim=(0, 3)) > 0
    want = torch.zeros(8, 8, dtype=torch.bool)
    want[2:6, 2:4] = True
    assert residual.equal(want)


# Ablation


@pytest.mark.parametrize(
    ("appearance", "eot", "kept"), [(True, False, slice(0, 12)), (False, True, slice(12, 13))]
)
def test_a_layer_runs_on_selected_tokens(appearance: bool, eot: bool, kept: slice) -> None:
    scene = replace(OVERLAPPING, rows=1)
    phrases = make_phrases(9, [5, 11, 3, 8, 6], 11, scene.boxes)
    tokens = adapter().encode_instances(*phrases.all()).select(appearance, eot)
    want = reference.instance_tokens(exact(), *phrases.all(torch.float64))[:, kept]
    assert difference(run(adapter(), scene, tokens=tokens.cond[None]), run_reference(scene, want)) < TOLERANCE


# Low precision


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 4e-3), (torch.bfloat16, 3e-2)])
def test_low_precision_is_finite_and_near_float32(dtype: torch.dtype, tolerance: float) -> None:
    """Against float32 arithmetic on the same rounded weights and inputs, as a part of the root mean square."""
    weights = read_checkpoint(checkpoint())
    low_weights = AdapterWeights(
        weights.config, {name: tensor.to(dtype) for name, tensor in weights.tensors.items()}
    )
    low = build_adapter(low_weights)
    wide = build_adapter(
        AdapterWeights(weights.config, {name: tensor.float() for name, tensor in low_weights.tensors.items()})
    )
    scene = OVERLAPPING
    phrases = make_phrases(10, [5, 11, 3, 8, 6], 11, scene.boxes)
    rounded = tuple(part.to(dtype).float() if i in (0, 2) else part for i, part in enumerate(phrases.all()))

    def near(got: Tensor, want: Tensor) -> None:
        assert got.dtype == dtype
        assert bool(got.isfinite().all())
        error = (got.float() - want).square().mean().sqrt() / want.square().mean().sqrt()
        assert error.item() < tolerance

    got, want = low.encode_instances(*phrases.all(dtype)), wide.encode_instances(*rounded)
    near(got.cond, want.cond)
    near(got.uncond, want.uncond)
    q, tokens = scene.queries().to(dtype), scene.tokens().to(dtype)
    for options in ({}, {"front_hides_back": True}, {"processor": OTHER_PROCESSOR}):
        queries = scene.queries(OTHER_WIDTH).to(dtype) if "processor" in options else q
        near(
            run(low, scene, q=queries, tokens=tokens, **options),
            run(wide, scene, q=queries.float(), tokens=tokens.float(), **options),
        )


def test_the_mean_over_many_cells_does_not_overflow_in_float16() -> None:
    """64 x 64 cells of about 30 sum up to more than float16 holds; their mean does not."""
    net = adapter()
    low = build_adapter(
        AdapterWeights(net.config, {name: tensor.half() for name, tensor in net.state_dict().items()})
    )
    wide = build_adapter(
        AdapterWeights(net.config, {name: tensor.float() for name, tensor in low.state_dict().items()})
    )
    scene = replace(WHOLE_CANVAS, height=64, width=64, rows=1)
    q = scene.queries()[:, :1].expand(-1, 64 * 64, -1).half()
    tokens = (30 * scene.tokens()).half()
    got, want = run(low, scene, q=q, tokens=tokens), run(wide, scene, q=q.float(), tokens=tokens.float())
    assert bool(got.isfinite().all())
    assert difference(got, want) < 0.03 * want.abs().max().item()


# An attention of the host's


def test_a_layer_uses_the_attention_it_is_given() -> None:
    calls: list[tuple[int, ...]] = []

    def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        calls.append((*q.shape, *k.shape, heads))
        return v.mean(dim=1, keepdim=True).expand(-1, q.shape[1], -1)

    net, scene = adapter(), OVERLAPPING
    geometry = build_geometry(scene.boxes, scene.height, scene.width)
    keys_values = net.keys_values(str(PROCESSOR), scene.tokens())
    out = net.layers[str(PROCESSOR)](
        scene.queries(), flat(keys_values), pack_instances([geometry] * 2, [(1.0,) * scene.count] * 2), attend
    )
    assert out.shape == (2, 9 * 12, WIDTH)
    assert all(
        call[2:3] + call[4:] == (WIDTH, 13, WIDTH, WIDTH // 16) and call[0] == call[3] for call in calls
    )
    assert sum(call[0] for call in calls) == 2 * scene.count
    covered = sum(coverage.area for coverage in geometry.coverages)
    assert (
        covered <= sum(call[0] * call[1] for call in calls) / 2 <= PADDING * covered
    )  # queries of the boxes' cells only


# Training


def test_gradients_reach_every_parameter_and_are_those_of_the_reference() -> None:
    scene = replace(OVERLAPPING, rows=2)
    phrases = make_phrases(11, [5, 11, 3, 8, 6], 11, scene.boxes)
    generator = torch.Generator().manual_seed(12)
    layers = {PROCESSOR: WIDTH, OTHER_PROCESSOR: OTHER_WIDTH}
    queries = {processor: scene.queries(width) for processor, width in layers.items()}
    targets = {
        processor: torch.randn(2, 9 * 12, width, generator=generator) for processor, width in layers.items()
    }

    def loss(encode: Callable[[], Tensor], residual: Callable[[int, Tensor], Tensor]) -> Tensor:
        rows = encode()
        parts = [
            (residual(processor, rows) - target.to(rows)).square().mean()
            for processor, target in targets.items()
        ]
        return torch.stack(parts).sum()

    net = build_adapter(
        read_checkpoint(
            {name: {key: value.clone() for key, value in sd.items()} for name, sd in checkpoint().items()}
        )
    )
    net.train().requires_grad_(True)

    def encode_rows() -> Tensor:
        tokens = net.encode_instances(*phrases.all())
        return torch.stack([tokens.uncond, tokens.cond])

    loss(
        encode_rows,
        lambda processor, rows: run(net, scene, processor=processor, q=queries[processor], tokens=rows),
    ).backward()

    naive = {
        name: {key: value.clone().requires_grad_(True) for key, value in sd.items()}
        for name, sd in exact().items()
    }
    want = phrases.all(torch.float64)
    loss(
        lambda: torch.stack([reference.null_tokens(naive, *want), reference.instance_tokens(naive, *want)]),
        lambda processor, rows: reference.layer_residual(
            reference.part(naive["adapter_modules"], f"{processor}."),
            queries[processor].double(),
            rows,
            scene.boxes,
            9,
            12,
        ),
    ).backward()

    for name, parameter in net.named_parameters():
        part, key = release_name(name).split(".", 1)
        expected = naive[part][key].grad
        assert parameter.grad is not None, name
        assert expected.abs().max() > 0, name
        assert difference(parameter.grad, expected) < 1e-3 * expected.abs().max().item() + 1e-7, name


def test_gradients_are_finite_for_the_null_condition_and_hidden_instances() -> None:
    scene = replace(Scene(torch.tensor([[0.2, 0.2, 0.7, 0.7], [0.0, 0.0, 1.0, 1.0]]), 6, 5), rows=1)
    weights = read_checkpoint(
        {name: {key: value.clone() for key, value in sd.items()} for name, sd in checkpoint().items()}
    )
    net = build_adapter(weights).requires_grad_(True)
    tokens = net.encode_instances(*make_phrases(13, [0, 2], 11, scene.boxes).all())
    run(net, scene, front_hides_back=True, tokens=tokens.uncond[None]).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
