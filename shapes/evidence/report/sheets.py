"""Pictures of a study: the first layouts of some conditions, below the drawings that they should be."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ifadapter_diffusers.contact_sheet import titled_rows

from ..looks.table import LOOKS
from ..studio import Studio
from ..study import Study

COLUMNS = 8


def save_sheet(study: Study, studio: Studio, path: Path) -> None:
    """One row for each condition in ``Study.shown``, and one of drawings where its layouts are others."""
    rows: dict[str, list[Image.Image]] = {}
    drawn = None
    for key in study.shown:
        condition = next(one for one in study.conditions if one.key == key)
        layouts = condition.layouts
        pictures = studio.first_pictures(condition.painting, layouts, COLUMNS)
        if layouts != drawn:
            drawings = [
                LOOKS[layouts.look].draw(layouts.scene(studio.world, index)) for index in range(len(pictures))
            ]
            rows[f"drawn by the program: {layouts.title}"] = [Image.fromarray(one) for one in drawings]
            drawn = layouts
        title = condition.title
        rows[f"{title}: {layouts.title}" if title in rows else title] = [
            Image.fromarray(one) for one in pictures
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    titled_rows(rows).quantize().save(path)
