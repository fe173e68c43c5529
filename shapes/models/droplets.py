"""Droplets: spots of a picture at which a decoder's features are many times larger than elsewhere.

A norm with one channel a group takes a feature's strength away. The decoder learns to keep it by an
outlier that rules the statistics, and the picture shows the outlier as a speck (Karras et al. 2020,
arXiv 1912.04958, section 2). Stable Diffusion's decoder has 32 groups, so one with 32 channels has
one channel a group.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

MOST = 6.0  # energy of a pixel, as a multiple of the mean, that is no droplet
SMALL = 32  # pixels along each side of features of which every one is read


@contextmanager
def collected_excess(decoder: nn.Module) -> Iterator[list[Tensor]]:
    """A list that gets ``excess_energy`` of the features before each norm of the decoder, when called."""
    found: list[Tensor] = []

    def collect(norm: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        if inputs[0].dim() == 4:  # those of the attention are not a picture any more
            found.append(excess_energy(inputs[0], norm.num_groups))

    norms = [module for module in decoder.modules() if isinstance(module, nn.GroupNorm)]
    handles = [norm.register_forward_hook(collect) for norm in norms]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def excess_energy(features: Tensor, groups: int) -> Tensor:
    """Fraction of the energy of normalized features that single pixels have beyond ``MOST``: ().

    features: (B, C, H, W). Energy is the mean square over the channels, after a norm of ``groups``
    groups: 1 on average. Of features with more than ``SMALL`` pixels a side every second one is read.
    """
    if features.shape[-1] > SMALL:
        features = features[..., ::2, ::2]
    energy = F.group_norm(features.float(), groups).square().mean(dim=1)
    return F.relu(energy - MOST).mean()
