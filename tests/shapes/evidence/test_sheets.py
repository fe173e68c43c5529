"""The pictures of a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ifadapter_diffusers.contact_sheet import TITLE_PX
from shapes.evidence.report.sheets import save_sheet
from shapes.evidence.studies import overlap
from shapes.models.config import load_shapes_config


class GreyStudio:
    """In place of models: two grey pictures of each condition."""

    world = load_shapes_config().shapes.world

    def first_pictures(self, *_: object) -> Any:
        return np.full((2, 128, 128, 3), 99, np.uint8)


def test_each_condition_has_a_row_and_each_layout_set_its_drawings(tmp_path: Path) -> None:
    shown = ["gate pairs 0.4", "mean pairs 0.4", "gate stacks 4"]
    studio: Any = GreyStudio()
    save_sheet(replace(overlap.STUDY, shown=shown), studio, tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    assert len(sheet) == 5 * (TITLE_PX + 128)
    rows = sheet.reshape(5, TITLE_PX + 128, -1, 3)[:, TITLE_PX:, :128]
    assert [bool((row == 99).all()) for row in rows] == [False, True, True, False, True]
