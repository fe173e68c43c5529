"""The auxiliary loss measures how well queries predict the positions of their cells."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from shapes.models.position_probe import PositionProbe, position_waves


class Layer(nn.Module):
    """A cross-attention layer with given queries: to_q is the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn2 = nn.Module()
        self.attn2.to_q = nn.Linear(width, width)
        nn.init.eye_(self.attn2.to_q.weight)
        nn.init.zeros_(self.attn2.to_q.bias)

    def forward(self, queries: Tensor) -> None:
        self.attn2.to_q(queries)


def fitted(queries: Tensor) -> float:
    """The loss with a probe fitted by least squares."""
    layer = Layer(queries.shape[-1])
    probe = PositionProbe(layer)
    inputs = torch.cat([queries, torch.ones(*queries.shape[:2], 1)], dim=-1).flatten(0, 1)
    side = int(queries.shape[1] ** 0.5)
    solution = torch.linalg.lstsq(inputs, position_waves(side).repeat(len(queries), 1)).solution
    with torch.no_grad():
        probe.probes[0].weight.copy_(solution[:-1].T)
        probe.probes[0].bias.copy_(solution[-1])
        with probe:
            layer(queries)
        return float(probe.loss())


def test_linear_positions_are_predicted_without_error() -> None:
    rotated = (
        position_waves(8) @ torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0))).Q
    )
    assert fitted(rotated.expand(2, -1, -1) + 3) < 1e-6


def test_equal_queries_predict_nothing() -> None:
    assert fitted(torch.ones(2, 256, 8)) == pytest.approx(0.5, abs=0.01)


def test_each_wave_varies_along_one_axis() -> None:
    grid = position_waves(16).reshape(16, 16, 8)
    assert torch.equal(grid[0, :, :4], grid[9, :, :4])
    assert torch.equal(grid[:, 0, 4:], grid[:, 9, 4:])
    assert (grid[0, :-1, 0] > grid[0, 1:, 0]).all()
    assert (grid[:-1, 0, 4] > grid[1:, 0, 4]).all()


@pytest.mark.slow
def test_a_unet_learns_positions_and_keeps_no_hooks() -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=2,
        out_channels=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=2,
    )
    probe = PositionProbe(unet)
    optimizer = torch.optim.Adam([*unet.parameters(), *probe.parameters()], lr=3e-3)
    losses = []
    for _ in range(60):
        with probe:
            unet(torch.randn(4, 2, 8, 8), torch.tensor([500]), torch.randn(4, 3, 8))
        loss = probe.loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(probe.probes) == 4
    assert losses[-1] < 0.5 * losses[0]
    assert all(not layer._forward_hooks for layer in unet.modules())
