"""Local descriptions -> instance tokens, against transformers' CLIPTextModel with the same weights and tests/reference.py."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import dense
import reference
import small_models

TOLERANCE = 1e-4  # on tokens of order 1, after 32 + 4 layers
BEGIN, END, LENGTH = 49406, 49407, 77
DEPTHS = (-2, -4, -6)
PADDING = {"clip_l": END, "clip_g": 0}
LAYERS = {"clip_l": 12, "clip_g": 32}
ACTIVATIONS = {"clip_l": "quick_gelu", "clip_g": "gelu"}
BOXES = [(0.1 * i, 0.05, 0.1 * i + 0.3, 0.6) for i in range(7)]
# Two-piece embedding: its vectors stand for two words that no vocabulary has, with these ids.
EMBEDDING, EMBEDDING_IDS = "plaid", [49408, 49409]

Words = Sequence[tuple[int, float]]  # token ids and their weights, without BEGIN and END


@dataclass(frozen=True)
class Encoders:
    """Both text encoders as transformers has them, and their tokenizer."""

    models: dict[str, CLIPTextModel]
    tokenizer: CLIPTokenizer

    def words(self, text: str, weight: float = 1.0) -> Words:
        return [(token, weight) for token in self.tokenizer(text)["input_ids"][1:-1]]

    def hidden(self, name: str, ids: Sequence[int]) -> Tensor:
        """(3, 77, width) in float64 of one text."""
        padded = [BEGIN, *ids, END] + [PADDING[name]] * (LENGTH - len(ids) - 2)
        states = self.models[name](torch.tensor([padded]), output_hidden_states=True).hidden_states
        return torch.stack([states[depth][0] for depth in DEPTHS])

    def phrases(self, texts: Sequence[Words]) -> dense.Phrases:
        """phrase_embeds (N, 3, 77, D), attention_mask (N, 77), eot_embeds (N, D)."""
        embeds, masks, eots = [], [], []
        for words in texts:
            ids, weights = [token for token, _ in words], [1.0, *(weight for _, weight in words)]
            scale = torch.tensor(weights + [1.0] * (LENGTH - len(weights)), dtype=torch.float64)[:, None]
            parts = []
            for name in self.models:
                z, empty = self.hidden(name, ids), self.hidden(name, [])
                parts.append((z - empty) * scale + empty)
            joined = torch.cat(parts, dim=-1)
            embeds.append(joined)
            masks.append((torch.arange(LENGTH) < len(ids) + 2).long())
            eots.append(joined[0, len(ids) + 1])
        return torch.stack(embeds), torch.stack(masks), torch.stack(eots)


@pytest.fixture(scope="module")
def embedding(base) -> dict[str, Tensor]:
    """Two vectors for each encoder, in a file of the embeddings folder."""
    generator = torch.Generator().manual_seed(21)
    vectors = {
        name: torch.randn(len(EMBEDDING_IDS), width, generator=generator)
        for name, width in small_models.TEXT_WIDTHS.items()
    }
    save_file(vectors, base / "models" / "embeddings" / f"{EMBEDDING}.safetensors")
    return vectors


@pytest.fixture(scope="module")
def encoders(host: Path, clip: Any, embedding: dict[str, Tensor]) -> Encoders:
    models = {}
    for name, width in small_models.TEXT_WIDTHS.items():
        config = CLIPTextConfig(
            vocab_size=END + 1 + len(EMBEDDING_IDS),
            hidden_size=width,
            intermediate_size=2 * width,
            num_attention_heads=2,
            num_hidden_layers=LAYERS[name],
            hidden_act=ACTIVATIONS[name],
            max_position_embeddings=LENGTH,
            bos_token_id=BEGIN,
            eos_token_id=END,
        )
        model = CLIPTextModel(config).eval()
        given = getattr(clip.cond_stage_model, name).transformer.state_dict()
        given.pop("text_projection.weight")
        words = "text_model.embeddings.token_embedding.weight"
        given[words] = torch.cat([given[words], embedding[name]])
        wanted = {
            key if key.startswith("text_model.") else f"text_model.{key}": key for key in model.state_dict()
        }
        model.load_state_dict({wanted[key]: value for key, value in given.items()})
        models[name] = model.double()
    return Encoders(models, CLIPTokenizer.from_pretrained(host / "comfy" / "sd1_tokenizer"))


@pytest.fixture(scope="module")
def encode(node, ifadapter, clip) -> Callable[..., Any]:
    """encode(descriptions) -> the instance tokens that the nodes make of them, in BOXES."""

    def run(descriptions: Sequence[str], used_clip: Any = clip, **switches: bool) -> Any:
        boxes = [
            {"bbox": [1000 * y0, 1000 * x0, 1000 * y1, 1000 * x1]}
            for x0, y0, x1, y1 in BOXES[: len(descriptions)]
        ]
        layout = node(
            "IFAdapterLayout", layout=json.dumps(list(descriptions)), width=640, height=480, boxes=boxes
        )[0]
        return node("IFAdapterEncode", ifadapter=ifadapter, clip=used_clip, layout=layout, **switches)[0]

    return run


@pytest.fixture(scope="module")
def check(encode, encoders, checkpoint) -> Callable[[Sequence[str], Sequence[Words]], None]:
    """check(descriptions, texts): the tokens of the descriptions are those of these words and weights."""
    weights = reference.double(checkpoint)

    def run(descriptions: Sequence[str], texts: Sequence[Words]) -> None:
        got = encode(descriptions)
        boxes = torch.tensor(BOXES[: len(descriptions)], dtype=torch.float64)
        with torch.no_grad():
            phrases = encoders.phrases(texts)
        cond, uncond = (
            reference.instance_tokens(weights, *phrases, boxes),
            reference.null_tokens(weights, *phrases, boxes),
        )
        assert got.cond.dtype == got.uncond.dtype == torch.float32
        assert 0.5 < cond.std() < 3
        assert dense.difference(got.cond, cond) <= TOLERANCE
        assert dense.difference(got.uncond, uncond) <= TOLERANCE

    return run


def test_the_text_encoders_run_once_for_all_depths_and_stay_as_they_are(encode, clip):
    stacks = [getattr(clip.cond_stage_model, name).transformer.text_model.encoder for name in LAYERS]
    calls: list[int] = []
    hooks = [
        layers.layers[-1].register_forward_hook(lambda _module, _given, out: calls.append(len(out)))
        for layers in stacks
    ]
    first = encode(["a red cube", "a blue (ball:1.3)"])
    for hook in hooks:
        hook.remove()
    assert calls == [3, 3]  # both descriptions, and the empty text that weights need
    assert all("forward" not in vars(layers) for layers in stacks)
    assert torch.equal(encode(["a red cube", "a blue (ball:1.3)"]).cond, first.cond)


def ifadapter_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "IFAdapter" in record.getMessage()]


# What the words become


@pytest.mark.parametrize(
    "text",
    [
        "a cat",
        ".",
        "a green sofa with white stripes on it, standing in front of a brick wall",
        "ein gr\u00fcner L\u00f6we, \u65e5\u672c\u8a9e \U0001f600",
        "UPPER case,  two  blanks\nand a line break",
        "antidisestablishmentarianism",
    ],
)
def test_plain_words(check, encoders, text):
    check([text], [encoders.words(text)])


def test_longest_text_that_fits(check, encoders, caplog):
    text = " ".join(["red", "blue", "green"] * 25)  # 75 words of one token each
    check([text], [encoders.words(text)])
    assert not ifadapter_warnings(caplog)


def test_words_beyond_77_tokens_are_dropped_and_named(check, encoders, caplog):
    kept, dropped = " ".join(["red", "blue", "green"] * 25), "a shiny copper kettle"
    with caplog.at_level(logging.WARNING):
        check(["a cat", f"{kept} {dropped}"], [encoders.words("a cat"), encoders.words(kept)])
    assert len(ifadapter_warnings(caplog)) == 1
    assert "box 2 " in ifadapter_warnings(caplog)[0]
    assert ifadapter_warnings(caplog)[0].endswith(f"dropped: {dropped}")


def test_far_too_many_words(check, encoders, caplog):
    """Several chunks of 77 beyond the first."""
    kept, dropped = " ".join(["red"] * 75), " ".join(["blue"] * 170)
    with caplog.at_level(logging.WARNING):
        check([f"{kept} {dropped}"], [encoders.words(kept)])
    assert ifadapter_warnings(caplog)[0].endswith(f"dropped: {dropped}")


def test_group_that_crosses_the_end_is_dropped_as_a_whole(check, encoders, caplog):
    """The host keeps a short weighted group together."""
    kept = " ".join(["red"] * 73)
    with caplog.at_level(logging.WARNING):
        check([f"{kept} (blue green yellow:1.2)"], [encoders.words(kept)])
    assert ifadapter_warnings(caplog)[0].endswith("dropped: blue green yellow")


def test_weights(check, encoders):
    words = [
        *encoders.words("a"),
        *encoders.words("red", 1.3),
        *encoders.words("cat and a dog", 0.6),
        *encoders.words("outside"),
    ]
    check(["a (red:1.3) (cat and a dog:0.6) outside"], [words])


def test_brackets_without_a_number(check, encoders):
    check(
        ["a ((red)) cat"], [[*encoders.words("a"), *encoders.words("red", 1.1 * 1.1), *encoders.words("cat")]]
    )


def test_escaped_brackets_are_words(check, encoders):
    check([r"a cat \(red:1.3\)"], [encoders.words("a cat (red:1.3)")])


@pytest.mark.parametrize("weight", [1.0, 1.4])
def test_embeddings(check, encoders, weight):
    text = f"embedding:{EMBEDDING}" if weight == 1.0 else f"(embedding:{EMBEDDING}:{weight})"
    words = [
        *encoders.words("a cat in"),
        *((token, weight) for token in EMBEDDING_IDS),
        *encoders.words("trousers"),
    ]
    check([f"a cat in {text} trousers"], [words])


def test_missing_embedding_is_left_out(check, encoders, caplog):
    with caplog.at_level(logging.WARNING):
        check(
            ["a cat in embedding:nowhere trousers"],
            [[*encoders.words("a cat in"), *encoders.words("trousers")]],
        )
    assert any("nowhere" in record.getMessage() for record in caplog.records)


MIXED = [
    "a cat",
    "a (red:1.3) dog with a collar",
    f"trousers in embedding:{EMBEDDING}",
    ".",
    " ".join(["blue"] * 90),
    r"brackets \(here\)",
    "a cat",
]


def test_many_descriptions_at_once(check, encoders):
    check(
        MIXED,
        [
            encoders.words("a cat"),
            [*encoders.words("a"), *encoders.words("red", 1.3), *encoders.words("dog with a collar")],
            [*encoders.words("trousers in"), *((token, 1.0) for token in EMBEDDING_IDS)],
            encoders.words("."),
            encoders.words(" ".join(["blue"] * 75)),
            encoders.words("brackets (here)"),
            encoders.words("a cat"),
        ],
    )


def test_descriptions_do_not_see_each_other(encode):
    """The grounding, which differs with the box, is in the tokens of the null condition too."""
    together = encode(MIXED)
    for index, text in enumerate(MIXED):
        alone = encode([text])
        got, want = (tokens.cond[i] - tokens.uncond[i] for tokens, i in ((together, index), (alone, 0)))
        assert dense.difference(got, want) <= TOLERANCE


# The user's CLIP


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
    """A CLIP from a LoRA loader carries patches; the descriptions must see them, the unpatched CLIP must not."""
    before = encode(["a red cat"]).cond
    patched = clip.clone()
    key = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
    weight = clip.cond_stage_model.state_dict()[key]
    assert patched.add_patches({key: (torch.ones_like(weight),)}, 1.0) == [key]
    assert dense.difference(encode(["a red cat"], patched).cond, before) > 0.01
    assert torch.equal(encode(["a red cat"]).cond, before)


# A CLIP of another model


def other_clip(clip_class: Any, tokenizer: Any, name: str, width: int) -> comfy.sd.CLIP:
    class Target:
        params: dict[str, Any] = {}

    Target.clip, Target.tokenizer = clip_class, tokenizer
    sizes = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_attention_heads": 2,
        "projection_dim": width,
    }
    return comfy.sd.CLIP(Target, parameters=1, model_options={f"{name}_model_config": sizes})


class ThreeEncoders:
    """A stand-in for the CLIP of a model with a T5 encoder."""

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
def test_wrong_clip_is_named_on_both_sides(encode, make, named):
    with pytest.raises(ValueError, match="does not fit the adapter") as error:
        encode(["a cat"], make())
    for part in (*named, "made for a model with 96-wide text features, 96 wide", "Connect the CLIP"):
        assert part in str(error.value)
