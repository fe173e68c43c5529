"""The user's CLIP: it stays unchanged, its LoRA acts, and a CLIP of another model is an error."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import folder_paths
import pytest
import torch
from torch import Tensor

import oracle
from ifadapter_core.checkpoint import AdapterWeights, read_checkpoint
from ifadapter_core.storage import save_weights
from loader import loader
from transformers_clip import BEGIN, END, LAYERS


def test_text_encoders_run_once_for_all_depths_and_are_restored(encode, clip):
    stacks = [getattr(clip.cond_stage_model, name).transformer.text_model.encoder for name in LAYERS]
    calls: list[int] = []
    hooks = [
        layers.layers[-1].register_forward_hook(lambda _module, _given, out: calls.append(len(out)))
        for layers in stacks
    ]
    first = encode(["a red cube", "a blue (ball:1.3)"])
    for hook in hooks:
        hook.remove()
    assert calls == [3, 3]  # 2 descriptions, and the empty text that weights need
    assert all("forward" not in vars(layers) for layers in stacks)
    assert torch.equal(encode(["a red cube", "a blue (ball:1.3)"]).cond, first.cond)


def state_of(clip: Any) -> tuple:
    return (
        clip.layer_idx,
        clip.use_clip_schedule,
        dict(clip.tokenizer_options),
        dict(clip.patcher.patches),
        clip.patcher.patches_uuid,
    )


@pytest.mark.parametrize("skip", [None, -1, -3])
def test_clip_skip_is_ignored_and_kept(encode, clip, skip):
    expected = encode(["a red cat"]).cond
    own = clip.clone()
    if skip is not None:
        own.clip_layer(skip)

    def prompt() -> tuple[Tensor, Tensor]:
        return own.encode_from_tokens(own.tokenize("a prompt"), return_pooled=True)

    before, prompted = state_of(own), prompt()
    weights = {key: value.clone() for key, value in own.cond_stage_model.state_dict().items()}
    assert torch.equal(encode(["a red cat"], own).cond, expected)
    assert state_of(own) == before
    assert all(torch.equal(value, weights[key]) for key, value in own.cond_stage_model.state_dict().items())
    for got, want in zip(prompt(), prompted, strict=True):
        assert torch.equal(got, want)


def test_no_hooks_are_left(encode, clip):
    def hooks() -> list[int]:
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks")
        return [len(getattr(module, kind)) for module in clip.cond_stage_model.modules() for kind in kinds]

    before = hooks()
    encode(["a red cat"])
    assert hooks() == before
    assert not any(before)


def test_clip_lora_acts_on_the_descriptions(encode, clip):
    """The LoRA of a CLIP acts on the descriptions, and does not reach the CLIP without LoRA."""
    before = encode(["a red cat"]).cond
    patched = clip.clone()
    key = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
    weight = clip.cond_stage_model.state_dict()[key]
    assert patched.add_patches({key: (torch.ones_like(weight),)}, 1.0) == [key]
    assert oracle.max_difference(encode(["a red cat"], patched).cond, before) > 0.01
    assert torch.equal(encode(["a red cat"]).cond, before)


def doubled(clip: Any, *names: str) -> Any:
    """A clone whose text encoders give each state twice, as CLIP NegPip's do."""
    clone = clip.clone()

    def encode(encoder: Any, chunks: list) -> tuple[Tensor, Any]:
        states, pooled = comfy.sd1_clip.ClipTokenWeightEncoder.encode_token_weights(encoder, chunks)
        return states.repeat_interleave(2, dim=1), pooled

    for name in names:
        encoder = getattr(clip.cond_stage_model, name)
        clone.patcher.add_object_patch(f"{name}.encode_token_weights", partial(encode, encoder))
    return clone


@pytest.mark.parametrize("names", [("clip_l", "clip_g"), ("clip_l",), ("clip_g",)])
@pytest.mark.parametrize("texts", [["a red cat"], ["a cat", "a (blue:1.2) dog"]])
def test_changed_number_of_states_is_an_error_that_names_the_cause(encode, clip, names, texts):
    expected = encode(texts).cond
    found = ", ".join(f"{name[-1]}: {154 if name in names else 77}" for name in ("clip_g", "clip_l"))
    with pytest.raises(ValueError, match="for example CLIP NegPip") as error:
        encode(texts, doubled(clip, *names))
    assert f"does not give 77 states for a description, one per token (text encoder {found})" in str(
        error.value
    )
    assert "Take the CLIP from before that node" in str(error.value)
    assert encode(texts).cond.equal(expected)


def other_clip(clip_class: Any, tokenizer: Any, name: str, width: int) -> comfy.sd.CLIP:
    class Target:
        params: ClassVar[dict[str, Any]] = {}

    Target.clip, Target.tokenizer = clip_class, tokenizer
    sizes = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_attention_heads": 2,
        "projection_dim": width,
    }
    return comfy.sd.CLIP(Target, parameters=1, model_options={f"{name}_model_config": sizes})


class ThreeEncoders:
    """A fake CLIP of a model with a T5 encoder."""

    def tokenize(self, text: str) -> dict[str, list]:
        return {name: [[(BEGIN, 1.0), (320, 1.0), (END, 1.0)]] for name in ("l", "g", "t5xxl")}


@pytest.mark.parametrize(
    ("make", "named"),
    [
        pytest.param(
            lambda: other_clip(comfy.sd1_clip.SD1ClipModel, comfy.sd1_clip.SD1Tokenizer, "clip_l", 32),
            ["32", "encoders l)"],
            id="SD 1.5",
        ),
        pytest.param(
            lambda: other_clip(
                comfy.sdxl_clip.SDXLRefinerClipModel, comfy.sdxl_clip.SDXLTokenizer, "clip_g", 64
            ),
            ["64"],
            id="refiner",
        ),
        pytest.param(ThreeEncoders, ["g, l, t5xxl"], id="with T5"),
    ],
)
def test_wrong_clip_error_describes_clip_and_adapter(encode, make, named):
    with pytest.raises(ValueError, match="does not fit the adapter") as error:
        encode(["a cat"], make())
    for part in (*named, "made for a model with 96-wide text features, 96 wide", "Connect the CLIP"):
        assert part in str(error.value)


@pytest.fixture
def with_depths(base, checkpoint):
    """with_depths(*text_depths) -> the adapter, reading these hidden states."""
    path = base / "models" / "ifadapter" / "depths.safetensors"

    def make(*text_depths: int) -> Any:
        weights = read_checkpoint(checkpoint)
        settings = replace(weights.config.settings, text_depths=text_depths)
        save_weights(AdapterWeights(replace(weights.config, settings=settings), weights.tensors), path)
        folder_paths.filename_list_cache.pop("ifadapter", None)
        return loader().execute(path.name).result[0]

    yield make
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("depth", [-13, -33, -100])
def test_depth_beyond_the_layers_of_an_encoder(node, clip, with_depths, encode, depth):
    before = encode(["a red cat"]).cond
    box = '{"x": 0, "y": 0, "w": 1, "h": 1, "caption": "a red cat"}'
    layout = node("IFAdapterLayout", layout=f'{{"boxes": [{box}]}}', width=64, height=64)[0]
    with pytest.raises(ValueError, match=rf"reads layer {depth} .* clip_l has 12 layers.*Connect the CLIP"):
        node("IFAdapterEncode", ifadapter=with_depths(-2, depth), clip=clip, layout=layout)
    for name in LAYERS:
        assert "forward" not in vars(getattr(clip.cond_stage_model, name).transformer.text_model.encoder)
    assert torch.equal(encode(["a red cat"]).cond, before)
    node("IFAdapterEncode", ifadapter=with_depths(-2, -12), clip=clip, layout=layout)


class _Renamed(torch.nn.Module):
    """ComfyUI's layers of a text encoder in a module of another structure."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.blocks = inner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.blocks(*args, **kwargs)


@pytest.mark.parametrize("names", [("clip_l",), ("clip_g",), ("clip_l", "clip_g")])
def test_encoder_of_another_structure_runs_plainly_with_one_warning(encode, clip, monkeypatch, caplog, names):
    texts = ["a red cat", "a (blue:1.2) dog"]
    expected = encode(texts)
    assert not caplog.records
    calls: list[int] = []
    for name in names:
        text_model = getattr(clip.cond_stage_model, name).transformer.text_model
        layers = text_model.encoder
        hook = layers.register_forward_hook(lambda *_: calls.append(1))
        monkeypatch.setattr(text_model, "encoder", _Renamed(layers))
        got = encode(texts)
        hook.remove()
    assert torch.equal(got.cond, expected.cond)
    assert calls
    last = [record.getMessage() for record in caplog.records][-1]
    assert f"the text encoder {' and '.join(sorted(names, reverse=True))} is built differently" in last
    assert len(caplog.records) == len(names)
