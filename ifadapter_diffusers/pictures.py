"""Reads picture files, for training, benchmarks and scores alike. Needs no torch.

Pictures become RGB of 8 bits: turned by their EXIF orientation, 16-bit gray scaled, transparent pixels
laid on ``BACKGROUND``, CMYK and palettes converted. Of an animation, the first frame is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# Pictures of formats that are not read: an error, because they must not be skipped silently.
OTHER_SUFFIXES = (
    *(".apng", ".avif", ".dib", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jxl", ".psd"),
    *(".svg", ".tga", ".tif", ".tiff"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),  # cameras' raw files
)
BACKGROUND = "white"  # behind transparent pixels

TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
WITH_ALPHA = ("LA", "PA", "RGBA")
MAX_16_BIT = 65535
KEY_FACTORS = {"1": 255, "L;2": 85, "L;4": 17}  # a PNG gives its transparent gray in its own depth
REMEDY = "Save it again as PNG or JPEG, or remove it."
MAX_NAMES = 3  # files that a message lists
THREADS = 8  # that decode files at the start


def picture_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The pictures in a folder, sorted.

    pattern: glob; ``**/*`` searches subfolders too.

    Raises ValueError that names pictures of formats that are not read.
    """
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    refuse_other_formats(folder, [str(path.relative_to(folder)) for path in files])
    return [path for path in files if path.suffix.lower() in SUFFIXES]


def refuse_other_formats(folder: Path, names: Iterable[str]) -> None:
    """Raises ValueError that lists the pictures of formats that are not read. names: of files."""
    others = [name for name in names if Path(name).suffix.lower() in OTHER_SUFFIXES]
    if others:
        first = ", ".join(others[:MAX_NAMES]) + (" .." if len(others) > MAX_NAMES else "")
        raise ValueError(
            f"{folder} has {len(others)} pictures of formats that are not read: {first}. "
            f"Convert them to one of {', '.join(SUFFIXES)}, or move them to another folder."
        )


def read_picture(source: Path | IO[bytes], remedy: str = REMEDY) -> Image.Image:
    """The picture in RGB.

    remedy: end of the error message.

    Raises ValueError that names the file if it is broken or has pixels of another kind.
    """
    try:
        with Image.open(source) as picture:
            return _rgb(ImageOps.exif_transpose(_keyed(picture)))
    except Exception as error:
        raise _unreadable(source, error, remedy) from error


def decoded_sizes(paths: Sequence[Path], remedy: str = REMEDY) -> Iterator[tuple[int, int]]:
    """Width and height of each picture, after its EXIF orientation.

    Decodes all files, so that a broken one is found before the work begins. Raises ValueError as
    ``read_picture`` does.
    """
    with ThreadPool(THREADS) as pool:
        yield from pool.imap(partial(picture_size, remedy=remedy), paths)


def picture_size(source: Path | IO[bytes], decode: bool = True, remedy: str = REMEDY) -> tuple[int, int]:
    """Width and height of a picture, after its EXIF orientation.

    decode: read all of the file, not its header only. Raises ValueError as ``read_picture`` does.
    """
    try:
        with Image.open(source) as picture:
            width, height = picture.size
            if decode:
                picture.draft(None, (1, 1))  # decodes a JPEG at an eighth of its size, which is faster
                picture.load()
            _check_mode(picture)
            turned = picture.getexif().get(ExifTags.Base.Orientation) in TRANSPOSED
            return (height, width) if turned else (width, height)
    except Exception as error:
        raise _unreadable(source, error, remedy) from error


def _unreadable(source: Path | IO[bytes], error: Exception, remedy: str) -> ValueError:
    """Pillow's decoders raise errors of many types for broken files."""
    name = str(source) if isinstance(source, Path) else getattr(source, "name", "The picture")
    return ValueError(f"{name} cannot be read ({error}). {remedy}")


def _check_mode(picture: Image.Image) -> None:
    if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
        raise ValueError(f"its pixels have Pillow's mode {picture.mode}; expected 8 or 16 bits per channel")


def _keyed(picture: ImageFile.ImageFile) -> Image.Image:
    """Load a picture, with the transparent color of a PNG scaled as Pillow scales its pixels."""
    _check_mode(picture)
    raw_mode = picture.tile[0][3] if picture.tile else None
    picture.load()
    key = picture.info.get("transparency")
    if isinstance(key, int) and isinstance(raw_mode, str):
        picture.info["transparency"] = key * KEY_FACTORS.get(raw_mode, 1)
    elif isinstance(key, tuple) and raw_mode == "RGB;16B":
        picture.info["transparency"] = tuple(value >> 8 for value in key)
    return picture


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        picture = _scaled(picture)
    if picture.mode == "1":
        picture = picture.convert("L")
    if picture.mode in WITH_ALPHA or "transparency" in picture.info:
        over = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, BACKGROUND), over)
    return picture.convert("RGB")


def _scaled(picture: Image.Image) -> Image.Image:
    """16-bit gray as 8-bit gray, with alpha if it has a transparent gray."""
    values = np.asarray(picture).astype(np.int64)
    scaled = Image.fromarray(np.round(values * (255 / MAX_16_BIT)).astype(np.uint8))
    key = picture.info.get("transparency")
    if key is not None:
        scaled.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return scaled
