"""Reference implementation: the oracle for the tests of the core and of both hosts."""

from .equations import (
    Checkpoint,
    StateDict,
    box_mask,
    box_masks,
    double,
    instance_tokens,
    layer_residual,
    null_tokens,
    part,
    resampler,
)
from .weights import make_release_checkpoint

__all__ = [
    "Checkpoint",
    "StateDict",
    "box_mask",
    "box_masks",
    "double",
    "instance_tokens",
    "layer_residual",
    "make_release_checkpoint",
    "null_tokens",
    "part",
    "resampler",
]
