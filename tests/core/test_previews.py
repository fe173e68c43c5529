"""Preview pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ifadapter_core.previews import BACKGROUND, COLOURS, ownership_picture
from ifadapter_core.semantic_map import SemanticMap
from ifadapter_core.tokens import InstanceTokens


@pytest.mark.parametrize(("cell_px", "owned_px"), [(8, 16), (32, 32), (64, 64)])
def test_ownership_picture_has_cells_of_the_base_model(cell_px: int, owned_px: int) -> None:
    empty = torch.zeros(1, 13, 4)
    box = torch.tensor([[0.0, 0.0, 9 / 128, 1.0]])  # 9 pixels wide
    tokens = InstanceTokens(empty, empty, box, (1.0,), canvas=(128, 128), cell_px=cell_px)
    row = np.asarray(ownership_picture(SemanticMap(tokens)))[100]
    assert (row[10:owned_px] == COLOURS[0]).all()  # pixels 0 to 8 also have the outline of the box
    assert (row[owned_px:] == BACKGROUND).all()
