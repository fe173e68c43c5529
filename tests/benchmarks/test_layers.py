"""One layer at SDXL's size: memory and operators beside the dense arithmetic of the release."""

from __future__ import annotations

import pytest
import torch
from layers import Bench, Case
from timing import peak_memory


@pytest.mark.slow
@torch.inference_mode()
def test_memory_of_overlapping_instances_is_a_fifth_of_the_dense_reference() -> None:
    """Packed as on a GPU: all instances at once."""
    bench = Bench(torch.device("cpu"), torch.float32, 0)
    packed, ours, dense = bench.prepare(Case((32, 32), "overlapping", 10), in_chunks=False)
    q = bench.random(2, 32 * 32, 1280)
    out = torch.zeros_like(q)
    assert len(packed.bands) == 1
    assert peak_memory(lambda: ours(q, out)) <= peak_memory(lambda: dense(q, out)) / 5
