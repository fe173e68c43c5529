"""The adapted UNet matches the paper's equations, and the plain UNet where the adapter is inactive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

import reference
from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import release_name
from ifadapter_diffusers.adapted_unet import AdaptedUNet, RowGroup, grid_of
from ifadapter_diffusers.base_model import BaseModel, Conditioning
from tiny_models import SHAPE, sd, sdxl, set_alpha
from training.new_adapter import adapter_config

BOXES = (
    torch.tensor([[0.05, 0.1, 0.6, 0.95], [0.4, 0.3, 0.9, 0.7]]),
    torch.tensor([[0.0, 0.0, 1.0, 1.0]]),
    torch.tensor([[0.3, 0.5, 0.45, 0.6], [0.2, 0.1, 0.8, 0.9], [0.1, 0.55, 0.7, 1.0]]),
)
STRENGTHS = ((1.0, 0.7), (1.0,), (1.0, 1.0, 1.3))
ROWS = ((0, 3), (4,), (2,))  # row 1 has no instances


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return BaseModel({"sd": sd, "sdxl": sdxl}[request.param](tmp_path_factory.getbasetemp() / "tokenizer"))


@pytest.fixture
def plain(base: BaseModel) -> UNet2DConditionModel:
    """A copy of the UNet: adapters replace its processors permanently."""
    unet = UNet2DConditionModel.from_config(base.unet.config)
    unet.load_state_dict(base.unet.state_dict())
    return unet.requires_grad_(False)


@pytest.fixture
def adapted(base: BaseModel, plain: UNet2DConditionModel) -> AdaptedUNet:
    """A copy of the UNet with a random adapter without zero weights."""
    unet = UNet2DConditionModel.from_config(plain.config)
    unet.load_state_dict(plain.state_dict())
    torch.manual_seed(2)
    adapter = IFAdapter(adapter_config(unet, base.text_width, SHAPE))
    for parameter in adapter.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    set_alpha(adapter, 0.8)
    return AdaptedUNet(unet, adapter).requires_grad_(False)


def inputs(
    base: BaseModel, rows: int = 5, height: int = 14, width: int = 10
) -> tuple[Tensor, Tensor, Conditioning]:
    torch.manual_seed(3)
    captions = [f"a {colour} circle" for colour in ("red", "green", "blue", "white", "black")][:rows]
    return (
        torch.randn(rows, 4, height, width),
        torch.tensor([10, 300, 500, 700, 990])[:rows],
        base.condition(captions, (28, 20)),
    )


def row_groups(base: BaseModel, count: int = 3) -> list[RowGroup]:
    generator = torch.Generator().manual_seed(4)
    return [
        RowGroup(
            rows,
            torch.randn(len(rows), len(boxes), 7, base.text_width, generator=generator),
            boxes,
            strengths,
        )
        for rows, boxes, strengths in list(zip(ROWS, BOXES, STRENGTHS, strict=True))[:count]
    ]


def predict(
    unet: UNet2DConditionModel, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    return unet(
        latents, timesteps, conditioning.text_states, added_cond_kwargs=conditioning.added or None
    ).sample


def test_closed_gates_leave_the_plain_unet(
    base: BaseModel, plain: UNet2DConditionModel, adapted: AdaptedUNet
) -> None:
    set_alpha(adapted.adapter, 0.0)
    given = inputs(base)
    assert torch.allclose(adapted(*given, row_groups(base)), predict(plain, *given), atol=1e-6)


def test_no_instances_leave_the_plain_unet(
    base: BaseModel, plain: UNet2DConditionModel, adapted: AdaptedUNet
) -> None:
    given = inputs(base)
    empty = RowGroup((0,), torch.zeros(1, 0, 7, base.text_width), torch.zeros(0, 4), ())
    for groups in ([], [empty]):
        assert torch.allclose(adapted(*given, groups), predict(plain, *given), atol=1e-6)


@pytest.mark.parametrize("size", [(14, 10), (16, 16), (9, 7)])
def test_the_prediction_matches_the_equations(
    base: BaseModel, plain: UNet2DConditionModel, adapted: AdaptedUNet, size: tuple[int, int]
) -> None:
    given, groups = inputs(base, height=size[0], width=size[1]), row_groups(base)
    got = adapted(*given, groups)
    latents, timesteps, conditioning = given
    wide = Conditioning(
        conditioning.text_states.double(), {key: value.double() for key, value in conditioning.added.items()}
    )
    plain.double()
    without = predict(plain, latents.double(), timesteps, wide)
    use_reference_layers(plain, adapted.adapter, groups, size)
    expected = predict(plain, latents.double(), timesteps, wide)
    assert torch.allclose(got.double(), expected, atol=2e-5)
    assert (expected - without).abs().mean() > 1e-3
    assert torch.allclose(expected[1], without[1])


def use_reference_layers(
    unet: UNet2DConditionModel, adapter: IFAdapter, groups: Sequence[RowGroup], size: tuple[int, int]
) -> None:
    """Put the equations of tests/reference into the cross attention of a float64 UNet."""
    weights = {release_name(name): tensor.double() for name, tensor in adapter.state_dict().items()}
    processors = dict(unet.attn_processors)
    for layer in adapter.config.layers:
        name = list(processors)[layer.processor]
        processors[name] = ReferenceProcessor(
            reference.part(weights, f"adapter_modules.{layer.processor}."), groups, size
        )
    unet.set_attn_processor(processors)


class ReferenceProcessor:
    def __init__(
        self, weights: reference.StateDict, groups: Sequence[RowGroup], size: tuple[int, int]
    ) -> None:
        self.weights, self.groups, self.size = weights, groups, size

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any) -> Tensor:
        q, k, v = attn.to_q(hidden_states), attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        heads = zip(*(x.chunk(attn.heads, dim=-1) for x in (q, k, v)), strict=True)
        out = torch.cat([(a @ b.mT / a.shape[-1] ** 0.5).softmax(dim=-1) @ c for a, b, c in heads], dim=-1)
        height, width = self.size
        if height * width != q.shape[1]:
            height, width = (height + 1) // 2, (width + 1) // 2
        for group in self.groups:
            for tokens, row in zip(group.tokens.double(), group.rows, strict=True):
                given = (q[row, None], tokens, group.boxes.double(), height, width)
                out[row] += reference.layer_residual(self.weights, *given, strengths=group.strengths)[0]
        return attn.to_out[0](out)


def test_rows_do_not_affect_each_other(base: BaseModel, adapted: AdaptedUNet) -> None:
    (latents, timesteps, conditioning), groups = inputs(base), row_groups(base)
    together = adapted(latents, timesteps, conditioning, groups)
    for group in groups:
        for place, row in enumerate(group.rows):
            only = slice(row, row + 1)
            single = Conditioning(
                conditioning.text_states[only],
                {key: value[only] for key, value in conditioning.added.items()},
            )
            alone = RowGroup((0,), group.tokens[place : place + 1], group.boxes, group.strengths)
            assert torch.allclose(
                adapted(latents[only], timesteps[only], single, [alone])[0], together[row], atol=1e-5
            )
    unlike = [
        *groups[:-1],
        RowGroup(groups[-1].rows, groups[-1].tokens + 1, groups[-1].boxes.flip(0), groups[-1].strengths),
    ]
    changed = (adapted(latents, timesteps, conditioning, unlike) != together).flatten(1).any(dim=1)
    assert changed.tolist() == [row in groups[-1].rows for row in range(len(latents))]


def test_the_order_of_groups_does_not_matter(base: BaseModel, adapted: AdaptedUNet) -> None:
    given, groups = inputs(base), row_groups(base)
    assert torch.allclose(adapted(*given, groups), adapted(*given, groups[::-1]), atol=1e-6)


def test_a_call_leaves_no_state_for_the_next(
    base: BaseModel, plain: UNet2DConditionModel, adapted: AdaptedUNet
) -> None:
    given, smaller = inputs(base), inputs(base, 2, 8, 12)
    adapted(*given, row_groups(base))
    assert torch.allclose(adapted(*smaller), predict(plain, *smaller), atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "size", "grid"),
    [
        (140, (14, 10), (14, 10)),
        (35, (14, 10), (7, 5)),
        (20, (9, 7), (5, 4)),
        (6, (9, 7), (3, 2)),
        (1, (9, 7), (1, 1)),
    ],
)
def test_the_grid_of_a_layer(tokens: int, size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert grid_of(tokens, *size) == grid


def test_token_counts_without_a_grid_are_rejected() -> None:
    with pytest.raises(ValueError, match="36 tokens"):
        grid_of(36, 14, 10)


def test_an_attention_mask_is_rejected(base: BaseModel, adapted: AdaptedUNet) -> None:
    latents, timesteps, conditioning = inputs(base)
    mask = torch.ones(conditioning.text_states.shape[:2])
    with pytest.raises(ValueError, match="no attention mask"):
        adapted.unet(
            latents,
            timesteps,
            conditioning.text_states,
            added_cond_kwargs=conditioning.added,
            encoder_attention_mask=mask,
        )
