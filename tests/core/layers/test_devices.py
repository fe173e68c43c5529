"""All tensors of a computation are on the device of the adapter and the queries."""

from __future__ import annotations

import pytest
import torch

import reference
from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import read_checkpoint
from ifadapter_core.geometry import build_geometry
from ifadapter_core.packing import pack_instances

META = torch.device("meta")  # stands for any accelerator: mixing it with the CPU raises


@pytest.mark.parametrize("front_hides_back", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tokens_and_layers_stay_on_the_device_of_their_inputs(
    dtype: torch.dtype, masked: bool, front_hides_back: bool
) -> None:
    config = read_checkpoint(reference.make_release_checkpoint(0)).config
    adapter = IFAdapter(config, device=META, dtype=dtype)
    width = config.resampler.text_width
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0], [0.3, 0.3, 0.9, 0.9]])
    phrases = torch.zeros(3, 3, 77, width, device=META, dtype=dtype)
    tokens = adapter.encode_instances(phrases, torch.zeros(3, 77, device=META), phrases[:, 0, 0], boxes)
    assert tokens.cond.device == META
    assert tokens.boxes.device.type == "cpu"
    geometry = build_geometry(
        tokens.boxes, 16, 12, torch.rand(3, 20, 20) if masked else None, front_hides_back
    )
    packed = pack_instances([geometry] * 2, [tokens.strengths] * 2, META)
    for layer in config.layers:
        name = str(layer.processor)
        instances = adapter.keys_values(name, tokens.cond.repeat(2, 1, 1))
        residual = adapter.layers[name](
            torch.zeros(2, 192, layer.width, device=META, dtype=dtype), instances, packed
        )
        assert (residual.device, residual.dtype, residual.shape) == (META, dtype, (2, 192, layer.width))
