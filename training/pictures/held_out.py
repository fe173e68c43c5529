"""Pictures that are held out from the training: which they are, and how they are read."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from ifadapter_core.layout import Layout
from ifadapter_diffusers.pictures import read_picture

from ..config import FolderConfig
from ..objective.denoising import LayoutBatch
from ..value_checks import percent
from .check import bad_pictures, usable_layout
from .crop import crop
from .folder import pictures_in, square_pixels


def split(folder: FolderConfig) -> tuple[list[Path], list[Path]]:
    """The pictures of a folder to train on, and those held out, each sorted.

    A share is chosen by a hash of the names: the same in every run, whatever the order of the files.

    Raises ValueError without pictures on either side, or if a held-out picture is trained on.
    """
    pictures = pictures_in(folder.path)
    if folder.held_out is None:
        return pictures, []
    if folder.held_out.endswith("%"):
        count = max(round(percent(folder, "held_out") * len(pictures)), 1)
        if count == len(pictures):
            raise ValueError(
                f"{folder.path} has one picture, so none can be held out. Set folder.held_out=null."
            )
        chosen = set(sorted(pictures, key=lambda path: _digest(path.relative_to(folder.path)))[:count])
        return [path for path in pictures if path not in chosen], [
            path for path in pictures if path in chosen
        ]
    held_out = pictures_in(folder.held_out)
    resolved = {path.resolve() for path in pictures}
    if both := [path for path in held_out if path.resolve() in resolved]:
        raise ValueError(
            f"{len(both)} of the pictures in folder.held_out are trained on too, among them {both[0]}. "
            "Move them, or give a share, such as folder.held_out=2%."
        )
    return pictures, held_out


def _digest(name: Path) -> bytes:
    return hashlib.sha256(name.as_posix().encode()).digest()


class HeldOutPictures:
    """Pictures with layouts, cropped to the central square.

    Pictures that cannot be used are left out, with a warning.
    size: side of the pictures, in pixels.
    slots: most boxes that a layout may have; None = any number.
    count: most pictures to use; they are chosen by a hash of their names.

    Raises ValueError if none can be used.
    """

    def __init__(self, paths: Sequence[Path], size: int, slots: int | None, count: int) -> None:
        chosen = sorted(paths, key=lambda path: _digest(Path(path.name)))[:count]
        bad = bad_pictures(chosen, slots, decode=True)
        if bad:
            logging.warning("%d held-out pictures are left out: %s", len(bad), " ".join(bad.values()))
        self.paths = sorted(path for path in chosen if path not in bad)
        if not self.paths:
            raise ValueError(f"None of the {len(chosen)} held-out pictures can be used.")
        self.size, self.slots = size, slots

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, numbers: Sequence[int]) -> LayoutBatch:
        """The pictures of these numbers."""
        images, layouts = [], []
        for number in numbers:
            picture = read_picture(self.paths[number])
            square, layout = crop(usable_layout(self.paths[number], *picture.size, self.slots))
            images.append(square_pixels(picture, square, self.size))
            layouts.append(Layout(self.size, self.size, layout.instances, layout.caption))
        return LayoutBatch(layouts, images=torch.stack(images))

    def layouts(self, count: int) -> list[Layout]:
        """The layouts of the first pictures."""
        return self.batch(range(min(count, len(self)))).layouts
