"""The pictures to train on."""

from __future__ import annotations

from dataclasses import dataclass

from ..value_checks import at_least, filled, fraction, percent


@dataclass(frozen=True)
class FolderConfig:
    """A folder of pictures with layouts (see ``pictures/folder.py``).

    path: the folder; subfolders are included.
    size: side of the training crops, in pixels.
    max_bad: fraction of the pictures that may be skipped because they cannot be used.
    held_out: pictures that are not trained on: a share of the folder, such as ``2%``, or another folder;
        None = none.
    """

    path: str
    size: int
    max_bad: float = 0.1
    held_out: str | None = None

    def __post_init__(self) -> None:
        filled(self, "path")
        at_least(self, 1, "size")
        fraction(self, "max_bad", one=False)
        if self.held_out is not None:
            filled(self, "held_out")
            if self.held_out.endswith("%"):
                percent(self, "held_out")
