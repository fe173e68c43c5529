"""Half precision stays finite and close to float32."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ifadapter_core.checkpoint import AdapterWeights, build_adapter, read_checkpoint
from layer_scenes import (
    OTHER_PROCESSOR,
    OTHER_WIDTH,
    OVERLAPPING,
    WHOLE_CANVAS,
    adapter,
    checkpoint,
    difference,
    make_phrases,
    run,
)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 4e-3), (torch.bfloat16, 3e-2)])
def test_half_precision_is_finite_and_close_to_float32(dtype: torch.dtype, tolerance: float) -> None:
    """Relative error against float32 arithmetic on the same rounded weights and inputs."""
    weights = read_checkpoint(checkpoint())
    low_weights = AdapterWeights(
        weights.config, {name: tensor.to(dtype) for name, tensor in weights.tensors.items()}
    )
    low = build_adapter(low_weights)
    wide = build_adapter(
        AdapterWeights(weights.config, {name: tensor.float() for name, tensor in low_weights.tensors.items()})
    )
    scene = OVERLAPPING
    phrases = make_phrases(10, [5, 11, 3, 8, 6], 11, scene.boxes)
    rounded = tuple(part.to(dtype).float() if i in (0, 2) else part for i, part in enumerate(phrases.all()))

    def assert_close(got: Tensor, want: Tensor) -> None:
        assert got.dtype == dtype
        assert bool(got.isfinite().all())
        error = (got.float() - want).square().mean().sqrt() / want.square().mean().sqrt()
        assert error.item() < tolerance

    got, want = low.encode_instances(*phrases.all(dtype)), wide.encode_instances(*rounded)
    assert_close(got.cond, want.cond)
    assert_close(got.uncond, want.uncond)
    q, tokens = scene.queries().to(dtype), scene.tokens().to(dtype)
    for options in ({}, {"front_hides_back": True}, {"processor": OTHER_PROCESSOR}):
        queries = scene.queries(OTHER_WIDTH).to(dtype) if "processor" in options else q
        assert_close(
            run(low, scene, q=queries, tokens=tokens, **options),
            run(wide, scene, q=queries.float(), tokens=tokens.float(), **options),
        )


def test_mean_over_many_cells_does_not_overflow_in_float16() -> None:
    """The sum of 64 x 64 values of about 30 exceeds the range of float16, their mean does not."""
    net = adapter()
    low = build_adapter(
        AdapterWeights(net.config, {name: tensor.half() for name, tensor in net.state_dict().items()})
    )
    wide = build_adapter(
        AdapterWeights(net.config, {name: tensor.float() for name, tensor in low.state_dict().items()})
    )
    scene = replace(WHOLE_CANVAS, height=64, width=64, rows=1)
    q = scene.queries()[:, :1].expand(-1, 64 * 64, -1).half()
    tokens = (30 * scene.tokens()).half()
    got, want = run(low, scene, q=q, tokens=tokens), run(wide, scene, q=q.float(), tokens=tokens.float())
    assert bool(got.isfinite().all())
    assert difference(got, want) < 0.03 * want.abs().max().item()
