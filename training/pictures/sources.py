"""Opens the samples that a setting such as ``folder.path`` names."""

from __future__ import annotations

from pathlib import Path

from .folder import FolderSamples
from .samples import Samples


def open_samples(path: str, slots: int | None = None, spare: Path | None = None) -> Samples:
    """The samples of a folder.

    slots: most boxes that a layout may have; None = any number.
    spare: folder for the index of a folder that cannot be written.

    Raises ValueError if there are none.
    """
    return FolderSamples(path, slots, spare)
