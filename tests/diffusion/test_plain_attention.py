"""Which attention is computed: fused away from the CPU, plain on it, decided by the tensors of each call.

The meta device stands for a GPU: it runs all layers, but without values.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import Tensor

from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.plain_attention import attend, use_plain_attention_on_cpu
from ifadapter_diffusers.randomness import seeded_generator
from shapes.models.text_encoder import new_text_encoder
from shapes.models.unet import Denoising, new_scheduler, new_unet
from tiny_models import TEXTS, adapter_stage, layout, sd, sdxl, tokenizer
from training.adapter_stage import AdapterStage
from training.objective.denoising import LayoutBatch

PLAIN = ("ifadapter_core.modules.attention.attend", "ifadapter_diffusers.plain_attention.plain_attend")


class Calls(list[tuple[Tensor, Tensor]]):
    """Query and key, (rows, heads, tokens, width), of every fused attention."""

    @property
    def keys(self) -> list[int]:
        """The number of keys of each call."""
        return [k.shape[2] for _, k in self]


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls, original = Calls(), F.scaled_dot_product_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, *given: Any, **named: Any) -> Tensor:
        calls.append((q, k))
        return original(q, k, v, *given, **named)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    return calls


@pytest.fixture
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "tokenizer"


@pytest.fixture
def stage(words: Path) -> AdapterStage:
    return adapter_stage(words, pipeline=sdxl(words))


@pytest.fixture
def forbid_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("plain attention away from the CPU")

    for name in PLAIN:
        monkeypatch.setattr(name, unexpected)
    monkeypatch.setattr(AttnProcessor, "__call__", unexpected)


def phrases_on_meta(texts: list[str], depths: tuple[int, ...]) -> PhraseEmbeddings:
    """Phrases of a fixed length, because the meta device has no values to count."""
    shapes = ((len(texts), len(depths), 9, 64), (len(texts), 9), (len(texts), 64))
    return PhraseEmbeddings(*(torch.ones(shape, device="meta") for shape in shapes))


@pytest.mark.usefixtures("forbid_plain")
def test_a_model_moved_after_it_was_built_has_fused_attention_in_all_layers(
    stage: AdapterStage, fused: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.objective.to("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(stage.base, "embed_phrases", phrases_on_meta)
    conditioning = stage.base.condition(TEXTS[:2], (32, 32))
    monkeypatch.setattr(stage.base, "condition", lambda *_: conditioning)
    fused.clear()
    stage.objective(LayoutBatch([layout(0), layout(1)], torch.zeros(2, 4, 16, 16)), seeded_generator(0))

    layers = len(stage.base.unet.attn_processors) // 2  # each has self attention and cross attention
    assert sum(q.shape == k.shape for q, k in fused) == layers
    assert fused.keys.count(conditioning.text_states.shape[1]) == layers
    tokens = stage.adapter.config.tokens_per_instance
    assert fused.keys.count(tokens) >= len(stage.adapter.config.layers)


def test_a_cpu_has_plain_attention_in_all_layers_of_the_unet(stage: AdapterStage, fused: Calls) -> None:
    latents = torch.zeros(2, 4, 16, 16)
    conditioning = stage.base.condition(TEXTS[:2], (32, 32))
    fused.clear()
    stage.objective.adapted(latents, torch.tensor([5, 5]), conditioning)
    assert not fused
    stage.objective(LayoutBatch([layout(0), layout(1)], latents), seeded_generator(0))
    assert stage.adapter.config.tokens_per_instance not in fused.keys


@pytest.mark.parametrize("heads", [1, 4])
def test_the_fused_attention_of_adapted_layers_is_attention(heads: int, fused: Calls) -> None:
    """The fused branch on values: a subclass reports another device than the CPU."""
    q, k, v = torch.randn(3, 12, 32), torch.randn(3, 5, 32), torch.randn(3, 5, 32)
    split = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v)]
    weights = (split[0] @ split[1].transpose(2, 3) / (32 / heads) ** 0.5).softmax(dim=-1)
    expected = (weights @ split[2]).transpose(1, 2).flatten(2)
    assert torch.allclose(attend(q, k, v, heads), expected, atol=1e-5)
    assert not fused
    assert torch.allclose(attend(Elsewhere(q), k, v, heads), expected, atol=1e-5)
    assert len(fused) == 1


class Elsewhere(Tensor):
    """A tensor that says it is on another device."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("meta")


def test_only_the_default_processors_are_replaced(words: Path) -> None:
    class Own:
        pass

    unet = sd(words).unet
    name = next(iter(unet.attn_processors))
    own = Own()
    unet.set_attn_processor({**unet.attn_processors, name: own})
    use_plain_attention_on_cpu(unet)
    processors = unet.attn_processors
    assert processors.pop(name) is own
    assert not {AttnProcessor2_0} & {type(processor) for processor in processors.values()}


def test_the_text_encoder_of_the_drawn_world_has_the_attention_of_its_device(
    tmp_path: Path, fused: Calls
) -> None:
    tokens = tokenizer(tmp_path)
    objective = Denoising(new_unet(), new_scheduler(), new_text_encoder(tokens), tokens)
    on_cpu = objective.text_states(TEXTS)
    assert on_cpu.device.type == "cpu"
    assert not fused
    objective.to("meta")
    objective.text_states(TEXTS)
    assert len(fused) == objective.text_encoder.config.num_hidden_layers
