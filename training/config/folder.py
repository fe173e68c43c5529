"""The pictures to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..value_checks import PathText, above, at_least, filled, fraction, percent


@dataclass(frozen=True)
class FolderConfig:
    """Pictures with layouts (see ``pictures/sources.py``).

    path: a folder of pictures, subfolders included; a folder of shards; or the URL of the index of shards.
    size: side of the training crops, in pixels.
    max_bad: fraction of the pictures that may be skipped because they cannot be used.
    held_out: pictures that are not trained on: a share of the folder, such as ``2%``, or another folder;
        None = none.
    shuffle: shards whose pictures are shuffled together, so that each is read once in an epoch; 0 = shuffle
        all pictures. None = 4 for shards of a URL, else 0.
    shard_cache: folder for the shards of a URL; None = ``~/.cache/ifadapter/shards``.
    shard_cache_gb: most gigabytes that it may hold.
    aspect: square crops of ``size``, or SDXL's shapes with about as many pixels (``cropping/buckets.py``).
    crops: fixed crops of each picture, which the epochs take in turn; 0 = a new random one at each use.
    """

    path: PathText
    size: int
    max_bad: float = 0.1
    held_out: PathText | None = None
    shuffle: int | None = None
    shard_cache: PathText | None = None
    shard_cache_gb: float = 50.0
    aspect: Literal["square", "buckets"] = "square"
    crops: int = 0

    def __post_init__(self) -> None:
        filled(self, "path")
        at_least(self, 1, "size")
        at_least(self, 0, "crops")
        fraction(self, "max_bad", one=False)
        if self.held_out is not None:
            filled(self, "held_out")
            if self.held_out.endswith("%"):
                percent(self, "held_out")
        if self.shuffle is not None:
            at_least(self, 0, "shuffle")
        above(self, 0, "shard_cache_gb")


@dataclass(frozen=True)
class CacheConfig:
    """What ``python -m training cache`` computes once, and a training reads.

    path: folder of the cache.
    latents: of the pictures; needs ``folder.crops``.
    text: what the text encoders give for captions and local descriptions.
    """

    path: PathText
    latents: bool = True
    text: bool = True

    def __post_init__(self) -> None:
        filled(self, "path")
        if not (self.latents or self.text):
            raise ValueError("latents and text are both false, so nothing is cached. Set one of them.")
