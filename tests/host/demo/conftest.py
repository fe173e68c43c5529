"""The demo's models, with and without the adapter, and prompts for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from demo_case import LAYOUT, SCHEDULE, SIDE_PX, TIMESTEPS, Demo, encode_text


@pytest.fixture(scope="session")
def demo(node) -> Demo:
    return Demo(*node("IFAdapterDemoModels"))


@pytest.fixture(scope="session")
def layout(node) -> tuple:
    """Outputs of the layout node."""
    return node("IFAdapterLayout", layout=LAYOUT, width=SIDE_PX, height=SIDE_PX)


@pytest.fixture(scope="session")
def adapted(node, demo, layout) -> Any:
    """The MODEL with the adapter."""
    tokens = node("IFAdapterEncode", ifadapter=demo.ifadapter, clip=demo.clip, layout=layout[0])[0]
    semantic_map = node("IFAdapterSemanticMap", tokens=tokens)[0]
    return node(
        "IFAdapterApply", model=demo.model, ifadapter=demo.ifadapter, semantic_map=semantic_map, **SCHEDULE
    )[0]


@pytest.fixture(scope="session")
def prompts(demo, layout) -> tuple[list, list]:
    """Positive and negative conditioning."""
    return encode_text(demo, layout[2]), encode_text(demo, "")


@pytest.fixture(scope="session")
def request_tensors() -> dict[str, Tensor]:
    """Input of diffusers_reference.py."""
    generator = torch.Generator().manual_seed(8)
    return {
        "latents": torch.randn(len(TIMESTEPS), 3, SIDE_PX // 8, SIDE_PX // 8, generator=generator),
        "timesteps": torch.tensor(TIMESTEPS),
        "picture": torch.rand(1, 3, SIDE_PX, SIDE_PX, generator=generator),
    }
