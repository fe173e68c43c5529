"""Droplets of a decoder: how much of its features' energy is in few pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ifadapter_diffusers.randomness import seeded_generator
from shapes.dataset import Batch
from shapes.models.config import VAELoss
from shapes.models.droplets import MOST, collected_excess, excess_energy
from shapes.models.vae import Reconstruction, new_vae


def features(size: int) -> Tensor:
    return torch.randn(2, 32, size, size, generator=seeded_generator(0))


@pytest.mark.parametrize("size", [16, 32, 128])
def test_even_features_have_no_excess(size: int) -> None:
    assert excess_energy(features(size), 32).item() == 0


@pytest.mark.parametrize(("size", "read", "of_them"), [(16, 16**2, 9), (32, 32**2, 9), (128, 64**2, 1)])
def test_the_excess_is_the_energy_of_a_droplet_beyond_ordinary_pixels(
    size: int, read: int, of_them: int
) -> None:
    droplet = features(size)
    droplet[..., -3:, -3:] = 1000.0  # nearly all the energy
    expected = 1 - of_them * MOST / read
    assert excess_energy(droplet, 32).item() == pytest.approx(expected, rel=0.05)
    assert excess_energy(5 * droplet, 32).item() == pytest.approx(expected, rel=0.05)


def test_several_droplets_have_the_excess_of_all() -> None:
    one, four = features(64), features(64)
    one[..., 10, 10] *= 30
    for place in (10, 20, 30, 40):
        four[..., place, 10] *= 30
    assert excess_energy(four, 32).item() > 0.8 * excess_energy(one, 32).item() > 0.1


def test_a_figure_of_one_channel_is_no_droplet() -> None:
    figure = features(64)
    figure[:, 5, 20:28, 20:28] += 30.0
    assert excess_energy(figure, 32).item() == 0


def test_all_norms_of_pictures_are_read_and_only_while_asked() -> None:
    decoder = new_vae().decoder
    with collected_excess(decoder) as found:
        decoder(torch.zeros(1, 3, 16, 16))
    assert len(found) == 21  # two in each of the 10 residual blocks, and the last one
    decoder(torch.zeros(1, 3, 16, 16))
    assert len(found) == 21


def test_the_loss_has_the_mean_excess_with_its_weight() -> None:
    torch.manual_seed(0)
    vae = new_vae()
    images = torch.full((2, 3, 128, 128), -1.0)
    images[..., -8:, -8:] = 1.0  # one cell, so an untrained decoder's features have an outlier
    batch = Batch(images, [], [])
    plain, weighted = (
        Reconstruction(vae, VAELoss(encoded=0.0, droplets=weight))(batch, seeded_generator(0))
        for weight in (0.0, 2.0)
    )
    with collected_excess(vae.decoder) as found:
        Reconstruction(vae, VAELoss(encoded=0.0))(batch, seeded_generator(0))
    excess = torch.stack(found).mean().item()
    assert excess > 0.001
    assert (weighted - plain).item() == pytest.approx(2 * excess, abs=1e-6)
