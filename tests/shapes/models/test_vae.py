"""The demo's autoencoder: its latents are thumbnails of the picture."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL

from ifadapter_diffusers.latents import decode, encode, latent_shape
from ifadapter_diffusers.randomness import seeded_generator
from shapes.dataset import Batch
from shapes.models.config import VAELoss
from shapes.models.vae import (
    SCALE,
    Reconstruction,
    flat_errors,
    latent_noise,
    new_vae,
    speck_error,
    thumbnails,
)


def test_a_thumbnail_holds_the_mean_colour_of_each_cell() -> None:
    image = torch.full((1, 3, 16, 24), -1.0)
    image[0, 0, :8, 8:16] = 1.0  # one cell all red
    image[0, 2, 8:, :4] = 1.0  # half a cell blue
    latents = thumbnails(image)
    assert latents.shape == (1, 3, 2, 3)
    assert latents[0, :, 0, 1].tolist() == [SCALE, -SCALE, -SCALE]
    assert latents[0, :, 1, 0].tolist() == [-SCALE, -SCALE, 0.0]


def test_latents_have_the_shape_and_scale_of_thumbnails() -> None:
    vae = new_vae()
    assert vae.config["scaling_factor"] == SCALE
    assert (
        encode(vae, torch.zeros(2, 3, 64, 32)).shape
        == (2, *latent_shape(vae, 64, 32))
        == thumbnails(torch.zeros(2, 3, 64, 32)).shape
    )
    assert decode(vae, torch.zeros(1, 3, 4, 4)).shape == (1, 3, 32, 32)


class Exact(AutoencoderKL):
    """A perfect autoencoder: encodes thumbnails, decodes the pictures it encoded last."""

    def encode(self, images):  # type: ignore[no-untyped-def]
        means = thumbnails(images) / SCALE
        self.encoded = images
        return type("Encoded", (), {"latent_dist": type("Normal", (), {"mode": lambda _: means})()})

    def decode(self, latents):  # type: ignore[no-untyped-def]
        return type("Decoded", (), {"sample": self.encoded})


def test_a_perfect_autoencoder_has_no_loss() -> None:
    vae = Exact.from_config(new_vae().config)
    batch = Batch(torch.rand(2, 3, 32, 32) * 2 - 1, [], [])
    assert Reconstruction(vae, VAELoss())(batch, seeded_generator(0)).item() == 0


def test_all_weights_have_gradients() -> None:
    torch.manual_seed(0)
    vae = new_vae()
    batch = Batch(torch.rand(2, 3, 32, 32) * 2 - 1, [], [])
    Reconstruction(vae, VAELoss())(batch, seeded_generator(0)).backward()
    gradients = [parameter.grad for parameter in vae.parameters()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_an_encoder_that_is_not_trained_keeps_its_weights() -> None:
    torch.manual_seed(0)
    vae = new_vae()
    batch = Batch(torch.rand(2, 3, 32, 32) * 2 - 1, [], [])
    Reconstruction(vae, VAELoss(encoded=0.0))(batch, seeded_generator(0)).backward()
    trained = {name.split(".")[0] for name, weight in vae.named_parameters() if weight.grad is not None}
    assert trained == {"post_quant_conv", "decoder"}


def test_errors_at_edges_are_not_flat() -> None:
    image = torch.full((1, 3, 16, 16), -1.0)
    image[..., 8:] = 1.0  # an edge between columns 7 and 8
    at_edge, speck = image.clone(), image.clone()
    at_edge[..., 5:11] += 0.5  # 3 pixels on each side
    speck[0, 1, 14, 2] += 0.5
    assert flat_errors(at_edge, image).sum().item() == 0
    for found in (flat_errors(speck, image), flat_errors(speck.mT, image.mT).mT):
        assert found[0, 0, 14, 2].item() == pytest.approx(0.5 / 3)
        assert (found > 0).sum() == 1


def test_a_speck_counts_as_the_worst_patch_of_its_picture() -> None:
    images = torch.zeros(2, 3, 32, 32)
    decoded = images.clone()
    decoded[0, :, 24:, 24:] += 0.4  # a whole patch
    decoded[0, :, :8, 24:] += 0.1
    assert speck_error(flat_errors(decoded, images)).item() == pytest.approx(0.4 / 2)


@pytest.mark.parametrize("name", ["flat", "speck", "worst"])
def test_a_weight_adds_its_error(name: str) -> None:
    torch.manual_seed(0)
    batch = Batch(torch.full((2, 3, 32, 32), 0.5), [], [])
    vae = new_vae()
    plain, once, twice = (
        Reconstruction(vae, VAELoss(**{name: weight}))(batch, seeded_generator(0)).item()
        for weight in (0.0, 1.0, 2.0)
    )
    assert once > plain
    assert twice - plain == pytest.approx(2 * (once - plain), rel=1e-3)


def test_latent_noise_has_cells_and_a_tint_of_varied_strength() -> None:
    noise = latent_noise(torch.Size((200, 3, 16, 16)), seeded_generator(0), 0.3)
    tints, cells = noise.mean(dim=(2, 3)), noise.std(dim=(2, 3))
    assert 0 < cells.min() < 0.02
    assert 0.27 < cells.max() < 0.33
    assert 0.1 < tints.std() < 0.25
    assert noise.equal(latent_noise(torch.Size((200, 3, 16, 16)), seeded_generator(0), 0.3))
