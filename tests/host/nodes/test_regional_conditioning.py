"""The regional conditioning node against conditionings built from the host's own nodes."""

from __future__ import annotations

import json
from typing import Any

import comfy.hooks
import comfy.model_patcher
import comfy.samplers
import comfy.supported_models
import pytest
import torch
from comfy_extras.nodes_hooks import (
    ConditioningSetDefaultAndCombine,
    ConditioningSetProperties,
    PairConditioningSetPropertiesAndCombine,
)

import nodes
import oracle
import small_models
from sampling import SIZE, allowed, assert_alike, sample, warnings_of

CANVAS = {"width": 8 * SIZE[1], "height": 8 * SIZE[0]}  # 160 x 192
BOXES = [(0.0, 0.0, 0.6, 0.75), (0.4, 0.5, 1.0, 1.0)]
WORDS = ["a red chair", "a blue lamp"]
STRENGTHS = [1.0, 0.5]
DEFAULTS = {
    "regions": "masks",
    "strength": 1.0,
    "area": "whole box",
    "feather": 0,
    "background": "outside the boxes",
}
VARIANTS = [
    pytest.param({}, id="masks"),
    pytest.param({"strength": 0.7}, id="strength"),
    pytest.param({"area": "visible part", "feather": 16}, id="visible masks with feather"),
    pytest.param({"regions": "areas"}, id="areas"),
    pytest.param({"regions": "areas", "area": "visible part"}, id="areas of visible parts"),
]
BACKGROUNDS = ["outside the boxes", "everywhere"]


def layout_of(node: Any, boxes: oracle.Boxes = BOXES, words: Any = WORDS, strengths: Any = STRENGTHS) -> Any:
    entries = [
        {"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0, "caption": caption, "strength": strength}
        for (x0, y0, x1, y1), caption, strength in zip(boxes, words, strengths, strict=True)
    ]
    return node("IFAdapterLayout", layout=json.dumps({"boxes": entries}), **CANVAS)[0]


@pytest.fixture(scope="module")
def layout(node):
    return layout_of(node)


@pytest.fixture(scope="module")
def room(clip):
    """The prompt of the whole picture."""
    return nodes.CLIPTextEncode().encode(clip, "a room")[0]


@pytest.fixture
def regional(node, clip, layout, room):
    def run(**changed: Any) -> list:
        given = {"clip": clip, "layout": layout, "conditioning": room, **DEFAULTS, **changed}
        return node("IFAdapterRegionalConditioning", **given)[0]

    return run


def by_host_nodes(node: Any, clip: Any, layout: Any, room: list, **changed: Any) -> list:
    """The same graph without the node: masks from the outputs node, and the host's own nodes."""
    inputs = {**DEFAULTS, **changed}
    shape = {"area": inputs["area"], "grow": 0, "feather": inputs["feather"]}
    masks = node("IFAdapterLayoutOutputs", layout=layout, **shape)[1]
    combined = None
    for mask, (x0, y0, x1, y1), words, factor in zip(masks, BOXES, WORDS, STRENGTHS, strict=True):
        encoded = nodes.CLIPTextEncode().encode(clip, words)[0]
        strength = inputs["strength"] * factor
        if inputs["regions"] == "masks":
            placed = nodes.ConditioningSetMask().append(encoded, mask, "default", strength)[0]
        elif inputs["area"] == "visible part":
            placed = nodes.ConditioningSetMask().append(encoded, mask, "mask bounds", strength)[0]
        else:
            set_area = nodes.ConditioningSetAreaPercentage()
            placed = set_area.append(encoded, x1 - x0, y1 - y0, x0, y0, strength)[0]
        combined = placed if combined is None else nodes.ConditioningCombine().combine(combined, placed)[0]
    if inputs["background"] == "everywhere":
        return nodes.ConditioningCombine().combine(combined, room)[0]
    return ConditioningSetDefaultAndCombine().set_default_and_combine(combined, room)[0]


def check_equal(got: list, want: list) -> None:
    """Same entries in the same order, with the same keys and values."""
    assert len(got) == len(want)
    for (mine, options), (other, expected) in zip(got, want, strict=True):
        assert torch.equal(mine, other)
        assert options.keys() == expected.keys()
        for key, value in expected.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(options[key], value), key
            elif key == "area":
                assert options[key][0] == "percentage"
                assert options[key][1:] == pytest.approx(value[1:])
            else:
                assert options[key] == value, key


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("changed", VARIANTS)
def test_keys_are_those_of_the_hosts_nodes(node, clip, layout, room, regional, changed, background):
    check_equal(
        regional(**changed, background=background),
        by_host_nodes(node, clip, layout, room, **changed, background=background),
    )


def test_keys_are_those_of_the_hosts_pair_nodes(node, clip, layout, room, regional):
    """Cond Set Props and Cond Pair Set Props Combine are another way to the same conditioning."""
    masks = node("IFAdapterLayoutOutputs", layout=layout, area="whole box", grow=0, feather=0)[1]
    first, second = (nodes.CLIPTextEncode().encode(clip, words)[0] for words in WORDS)
    (placed,) = ConditioningSetProperties().set_properties(first, STRENGTHS[0], "default", masks[0])
    placed, _ = PairConditioningSetPropertiesAndCombine().set_properties(
        placed, placed, second, second, STRENGTHS[1], "default", masks[1]
    )
    check_equal(regional(), ConditioningSetDefaultAndCombine().set_default_and_combine(placed, room)[0])


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("changed", VARIANTS)
def test_sampling_equals_the_hosts_nodes(node, model, clip, layout, room, regional, changed, background):
    got = sample(model, positive=regional(**changed, background=background))
    want = sample(model, positive=by_host_nodes(node, clip, layout, room, **changed, background=background))
    assert_alike(got, want, sample(model, positive=room))


def small_flux() -> Any:
    """A MODEL of Flux's structure with random weights, for the text features of the small CLIP."""
    shape = {
        "image_model": "flux",
        "in_channels": 16,
        "out_channels": 16,
        "patch_size": 2,
        "vec_in_dim": small_models.TEXT_WIDTHS["clip_g"],
        "context_in_dim": small_models.TEXT_WIDTH,
        "hidden_size": 64,
        "mlp_ratio": 2.0,
        "num_heads": 2,
        "depth": 1,
        "depth_single_blocks": 1,
        "axes_dim": [8, 12, 12],
        "txt_ids_dims": [],
        "theta": 10000,
        "qkv_bias": True,
        "guidance_embed": False,
    }
    config = comfy.supported_models.Flux({**shape, "dtype": torch.float32})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device="cpu").eval()
    small_models.randomize(model.diffusion_model, seed=0)
    return comfy.model_patcher.ModelPatcher(
        model, load_device=small_models.CPU, offload_device=small_models.CPU
    )


@pytest.mark.parametrize("changed", VARIANTS)
def test_flux_samples_the_same(node, clip, layout, room, regional, changed):
    model = small_flux()
    start = {"latent": torch.zeros(1, 16, *SIZE), "negative": room, "scheduler": "simple", "cfg": 2.0}
    got = sample(model, positive=regional(**changed), **start)
    want = sample(model, positive=by_host_nodes(node, clip, layout, room, **changed), **start)
    assert_alike(got, want, sample(model, positive=room, **start))


def test_a_description_acts_in_its_box_only(node, model, clip, regional):
    """After one step without guidance, a changed description changes the latent in its box alone."""
    alone = {"boxes": [BOXES[1]], "strengths": [1.0]}
    before, after = (
        sample(
            model,
            positive=regional(layout=layout_of(node, words=[words], **alone)),
            steps=1,
            cfg=1.0,
        )
        for words in ("a red chair", "a green parrot")
    )
    differs = (before - after).abs().amax(dim=(0, 1)) > allowed(before)
    inside = torch.zeros(SIZE, dtype=torch.bool)
    inside[12:, 8:] = True  # rows from 0.5 * 24, columns from 0.4 * 20
    assert torch.equal(differs, inside)


def test_masks_reach_every_frame_of_a_video_model(node, regional):
    """The host's own functions, on latents with a frame axis."""
    latent = torch.zeros(1, 4, 3, *SIZE)
    (placed,) = regional(layout=layout_of(node, [BOXES[1]], ["a lamp"], [1.0]))[:1]
    conds = [{**placed[1], "model_conds": {}, "uuid": None}]
    comfy.samplers.resolve_areas_and_cond_masks_multidim(conds, latent.shape[2:], latent.device)
    weight = comfy.samplers.get_area_and_mult(conds[0], latent, torch.zeros(1)).mult.expand_as(latent)
    inside = torch.zeros(SIZE)
    inside[12:, 8:] = 1
    assert torch.equal(weight, inside.expand_as(latent))


def test_batches_and_the_adapter(apply, tokens, model, regional, room):
    """The node works beside the adapter, and for several pictures at once."""
    patched = apply(tokens)
    regions = regional()
    single, batch = sample(patched, positive=regions), sample(patched, positive=regions, batch=2)
    assert batch.shape == (2, 4, *SIZE)
    assert batch.isfinite().all()
    assert oracle.max_difference(single, sample(patched, positive=room)) > 100 * allowed(single)
    assert oracle.max_difference(single, sample(model, positive=regions)) > 100 * allowed(single)


def test_equal_descriptions_are_encoded_once(node, clip, regional):
    class Counting:
        encoded: list[Any] = []  # noqa: RUF012

        def tokenize(self, text: str) -> Any:
            self.encoded.append(text)
            return clip.tokenize(text)

        def encode_from_tokens_scheduled(self, tokens: Any) -> Any:
            return clip.encode_from_tokens_scheduled(tokens)

    counting = Counting()
    twins = layout_of(node, words=["a red chair", "a red chair"])
    check_equal(regional(clip=counting, layout=twins), regional(layout=twins))
    assert counting.encoded == ["a red chair"]


def test_scheduled_text_encoders_give_all_their_entries(clip, regional):
    """A CLIP with hooks on a schedule gives one entry for each part; each is placed."""
    keyframes = comfy.hooks.HookKeyframeGroup()
    keyframes.add(comfy.hooks.HookKeyframe(strength=1.0, start_percent=0.0))
    keyframes.add(comfy.hooks.HookKeyframe(strength=0.0, start_percent=0.5))
    hooks = comfy.hooks.create_hook_lora(lora={}, strength_model=1.0, strength_clip=1.0)
    hooks.set_keyframes_on_hooks(hook_kf=keyframes)
    scheduled = clip.clone()
    scheduled.patcher.forced_hooks = hooks.clone()
    scheduled.use_clip_schedule = True
    scheduled.apply_hooks_to_conds = hooks
    expected = nodes.CLIPTextEncode().encode(scheduled, WORDS[0])[0]
    assert len(expected) == 2
    got = regional(clip=scheduled)
    assert len(got) == 2 * len(WORDS) + 1
    for (_, options), (_, wanted) in zip(got[:2], expected, strict=True):
        assert options["mask_strength"] == 1.0
        assert {key: options[key] for key in wanted} == {**wanted, "pooled_output": options["pooled_output"]}
        assert torch.equal(options["pooled_output"], wanted["pooled_output"])
    assert got[0][1]["clip_end_percent"] == got[1][1]["clip_start_percent"] == 0.5


def test_an_empty_layout_leaves_the_conditioning_as_it_is(node, regional, room):
    empty = node("IFAdapterLayout", layout='{"boxes": []}', **CANVAS)[0]
    assert regional(layout=empty) is room


def test_all_strengths_zero_leave_the_conditioning_as_it_is_with_a_notice(regional, room, caplog):
    assert regional(strength=0.0) is room
    assert "IFAdapter Regional Conditioning: Box 1, 2: strength 0" in warnings_of(caplog)[0]


def test_inputs_are_not_changed(regional, room):
    before = [options.copy() for _, options in room]
    regional()
    assert [options.keys() for _, options in room] == [options.keys() for options in before]
    assert "default" not in room[0][1]


def test_small_areas_at_the_edges_can_be_sampled_with_a_notice(node, model, regional, caplog):
    """The host cuts an area at the edge of the picture down to nothing, where a model fails."""
    tiny = layout_of(
        node, boxes=[(0.99, 0.99, 1.0, 1.0), (0.0, 0.5, 0.02, 0.52)], words=WORDS, strengths=[1.0, 1.0]
    )
    got = sample(model, positive=regional(layout=tiny, regions="areas"))
    assert got.isfinite().all()
    assert "Box 1, 2: a side under 64 pixels" in warnings_of(caplog)[0]


def test_a_missing_text_encoder_is_an_error_that_says_what_to_load(regional):
    with pytest.raises(ValueError, match="CLIP is None"):
        regional(clip=None)


def test_negative_strength_is_an_error(node, regional):
    with pytest.raises(ValueError, match="Box 2 has the strength -1"):
        regional(layout=layout_of(node, strengths=[1.0, -1.0]))
