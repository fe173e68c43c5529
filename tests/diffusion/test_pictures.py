"""One reader for all picture files: what a person sees is what training and scores get."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ifadapter_diffusers.pictures import BACKGROUND, decoded_sizes, picture_files, read_picture

ROOT = Path(__file__).resolve().parents[2]
WHITE, RED = (255, 255, 255), (255, 0, 0)
HIDDEN = (10, 20, 30, 0)  # a transparent pixel's color


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth: int, color_type: int, samples: bytes, transparent: bytes = b"") -> io.BytesIO:
    """A PNG of 2 x 1 pixels. samples: one row. transparent: content of tRNS."""
    header = struct.pack(">IIBBBBB", 2, 1, depth, color_type, 0, 0, 0)
    content = chunk(b"IHDR", header) + (chunk(b"tRNS", transparent) if transparent else b"")
    content += chunk(b"IDAT", zlib.compress(b"\0" + samples)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + content)


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


def pixels(file: io.BytesIO) -> list[tuple[int, ...]]:
    """The pixels of a row."""
    picture = read_picture(file)
    assert picture.mode == "RGB"
    return [picture.getpixel((x, 0)) for x in range(picture.width)]  # type: ignore[misc]


GREY, RGB, GREY_ALPHA, RGB_ALPHA = 0, 2, 4, 6  # color types of PNG
CASES = {
    "16-bit gray": (png(16, GREY, words(32768, 65535)), [(128,) * 3, WHITE]),
    "16-bit gray, a dark one": (png(16, GREY, words(257, 2570)), [(1,) * 3, (10,) * 3]),
    "16-bit gray with a transparent one": (
        png(16, GREY, words(257, 2570), words(2570)),
        [(1,) * 3, WHITE],
    ),
    "16-bit RGB": (png(16, RGB, words(65535, 0, 0, 257, 514, 771)), [RED, (1, 2, 3)]),
    "16-bit RGB with a transparent color": (
        png(16, RGB, words(65535, 0, 0, 257, 514, 771), words(257, 514, 771)),
        [RED, WHITE],
    ),
    "16-bit gray and alpha": (png(16, GREY_ALPHA, words(257, 65535, 257, 0)), [(1,) * 3, WHITE]),
    "16-bit RGB and alpha": (png(16, RGB_ALPHA, words(65535, 0, 0, 65535, 0, 0, 0, 0)), [RED, WHITE]),
    "RGB and alpha": (png(8, RGB_ALPHA, bytes((*HIDDEN, 255, 0, 0, 255))), [WHITE, RED]),
    "half transparent": (png(8, RGB_ALPHA, bytes((255, 0, 0, 0, 0, 0, 0, 128))), [WHITE, (127,) * 3]),
    "RGB with a transparent color": (
        png(8, RGB, bytes((10, 20, 30, 255, 0, 0)), words(10, 20, 30)),
        [WHITE, RED],
    ),
    "gray with a transparent one": (png(8, GREY, bytes((10, 20)), words(10)), [WHITE, (20,) * 3]),
    "2-bit gray with a transparent one": (png(2, GREY, b"\x90", words(2)), [WHITE, (85,) * 3]),
    "1-bit gray with a transparent one": (png(1, GREY, b"\x80", words(0)), [WHITE, WHITE]),
    "1-bit gray with black": (png(1, GREY, b"\x80", words(1)), [WHITE, (0, 0, 0)]),
}


@pytest.mark.parametrize(("file", "expected"), CASES.values(), ids=CASES)
def test_pixels(file: io.BytesIO, expected: list[tuple[int, ...]]) -> None:
    assert BACKGROUND == "white"
    assert pixels(file) == expected


@pytest.mark.parametrize(
    ("transparency", "expected"),
    [(1, [RED, WHITE]), (bytes((255, 0)), [RED, WHITE]), (bytes((0, 255)), [WHITE, (0, 255, 0)])],
)
def test_palettes_with_transparency(transparency: Any, expected: list[tuple[int, ...]]) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    assert pixels(saved(picture)) == [RED, (0, 255, 0)]
    assert pixels(saved(picture, transparency=transparency)) == expected


def test_a_webp_with_alpha() -> None:
    assert pixels(saved(Image.new("RGBA", (1, 1), HIDDEN), "WEBP", lossless=True, exact=True)) == [WHITE]


def test_a_cmyk_jpeg() -> None:
    (color,) = pixels(saved(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "JPEG", quality=100))
    assert np.abs(np.subtract(color, RED)).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_exif_orientation_is_applied(tmp_path: Path, kind: str) -> None:
    picture = Image.new("RGB", (16, 8), WHITE)
    picture.paste("black", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    path = tmp_path / "turned"
    path.write_bytes(saved(picture, kind, exif=exif).getvalue())
    turned = read_picture(path)
    assert turned.size == (8, 16)
    assert turned.getpixel((4, 2)) < (50, 50, 50)  # type: ignore[operator]
    assert turned.getpixel((4, 13)) > (200, 200, 200)  # type: ignore[operator]
    assert list(decoded_sizes([path])) == [(8, 16)]


def test_16_bit_gray_keeps_its_steps() -> None:
    levels = np.arange(256, dtype=np.uint16) * 257
    read = np.asarray(read_picture(saved(Image.fromarray(levels[None]))))
    assert (read[0] == np.arange(256)[:, None]).all()


# Files that cannot be read


def truncated(kind: str) -> bytes:
    content = saved(Image.effect_noise((64, 64), 60).convert("RGB"), kind).getvalue()
    return content[: len(content) * 2 // 3]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_truncated_picture_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    Image.new("RGB", (3, 2)).save(whole)
    cut.write_bytes(truncated(kind))
    with pytest.raises(ValueError, match=r"cut\.png cannot be read \(.*\)\. Save it again"):
        read_picture(cut)
    sizes = decoded_sizes([whole, cut])
    assert next(sizes) == (3, 2)
    with pytest.raises(ValueError, match=r"cut\.png cannot be read"):
        next(sizes)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_other_pixels_are_an_error_that_says_what_is_expected(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "depth.png"
    Image.new(mode, (4, 4)).save(path, "TIFF")
    for read in (read_picture, lambda path: list(decoded_sizes([path]))):
        with pytest.raises(ValueError, match=rf"depth\.png .*mode {mode}; expected 8 or 16 bits"):
            read(path)


def test_pictures_of_other_formats_are_named(tmp_path: Path) -> None:
    names = ["b.JPG", "a.png", "sub/c.webp", "notes.txt"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "folder.tif").mkdir()
    for name in names:
        (tmp_path / name).touch()
    assert picture_files(tmp_path) == [tmp_path / "a.png", tmp_path / "b.JPG"]
    assert picture_files(tmp_path, "**/*") == [tmp_path / name for name in ("a.png", "b.JPG", "sub/c.webp")]
    for name in ("x.HEIC", "sub/y.tif"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"1 pictures of formats that are not read: x\.HEIC\. Convert them"):
        picture_files(tmp_path)
    with pytest.raises(ValueError, match=r"2 pictures of .* not read: sub/y\.tif, x\.HEIC\. .*\.jpg"):
        picture_files(tmp_path, "**/*")


def test_the_reader_needs_no_torch() -> None:
    """Generating with ComfyUI and reading its pictures must start quickly."""
    code = "import sys, ifadapter_diffusers.pictures; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
