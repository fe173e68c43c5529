"""Host nodes that change attention, features or weights: LoRA, ControlNet, merging, ToMe and others."""

from __future__ import annotations

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
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_hypertile import HyperTile
from comfy_extras.nodes_model_merging import ModelMergeSimple
from comfy_extras.nodes_tomesd import TomePatchModel
from torch import Tensor

import oracle
import small_models
from sampling import NEGATIVE, POSITIVE, SIZE, assert_alike, sample

HOST_NODES = {
    "HyperTile": lambda model: HyperTile.execute(model, 64, 2, 0, False)[0],
    "ToMe": lambda model: TomePatchModel.execute(model, 0.3)[0],
    "FreeU": lambda model: FreeU_V2.execute(model, 1.3, 1.4, 0.9, 0.2)[0],
}


@pytest.mark.parametrize("name", HOST_NODES)
@pytest.mark.parametrize("order", ["before", "behind"])
def test_host_nodes(apply, tokens, term, model, name, order):
    """The pack together with the node equals the oracle together with the node."""
    change = HOST_NODES[name]
    torch.manual_seed(0)  # some nodes use random numbers
    got = sample(change(apply(tokens)) if order == "behind" else apply(tokens, model=change(model)))
    torch.manual_seed(0)
    want = sample(change(oracle.patch(model, term)))
    torch.manual_seed(0)
    assert_alike(got, want, sample(change(model)))


def lora_of(model: Any, strength: float) -> Any:
    """A clone with a LoRA on the queries of an adapted layer, by the host's weight patches."""
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
    assert_alike(got, sample(oracle.patch(lora_of(model, 1.0), term)), sample(oracle.patch(model, term)))


def test_merged_models(apply, tokens, term, model):
    """Merged weights of two models; the host keeps the patches of the first, which has the adapter."""
    second = small_models.small_model(seed=4, output_scale=20.0)

    def merged(patcher: Any) -> Any:
        return ModelMergeSimple().merge(patcher, second, 0.4)[0]

    got, want, plain = (
        sample(merged(patcher)) for patcher in (apply(tokens), oracle.patch(model, term), model)
    )
    assert_alike(got, want, plain)


class Control(comfy.controlnet.ControlBase):
    """A ControlNet with a constant output at the UNet's middle block."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict, batched_number: int, *_: Any, **__: Any
    ) -> dict[str, list]:
        height, width = oracle.grid_of(self.size)
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


def test_controlnet(apply, tokens, term, model):
    control = Control(SIZE)
    positive, negative = controlled(POSITIVE, control), controlled(NEGATIVE, control)
    got, want = (
        sample(patcher, positive=positive, negative=negative)
        for patcher in (apply(tokens), oracle.patch(model, term))
    )
    assert_alike(got, want, sample(oracle.patch(model, term)))


def test_weight_hooks_on_a_conditioning(apply, tokens, term, model):
    """A LoRA on the positive conditioning alone: the host makes one UNet call per set of weights."""
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
    got, want = (sample(patcher, positive=positive) for patcher in (apply(tokens), oracle.patch(model, term)))
    assert_alike(got, want, sample(oracle.patch(model, term)))
