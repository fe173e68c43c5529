"""A folder of pictures as a dataset: the boxes of each crop still frame the same things."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from picture_files import folder_batches
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from ifadapter_core.layout import Box, Instance, Layout
from training.pictures.layout import read_layout
from training.pictures.notices import NoticeLog

COLOURS = [(230, 20, 20), (20, 200, 40), (30, 40, 220), (240, 230, 40)]


def picture(width: int, height: int, boxes: Sequence[Sequence[int]]) -> Image.Image:
    """A grey picture with boxes (x, y, w, h) in different colours."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    for (x, y, w, h), colour in zip(boxes, COLOURS, strict=False):
        pixels[y : y + h, x : x + w] = colour
    return Image.fromarray(pixels)


def write(
    folder: Path, name: str, width: int, height: int, boxes: Sequence[Sequence[int]], **more: Any
) -> None:
    annotations = [{"box": list(box), "caption": f"thing {number}"} for number, box in enumerate(boxes)]
    picture(width, height, boxes).save(folder / name)
    (folder / name).with_suffix(".json").write_text(
        json.dumps({"caption": name, "annotations": annotations, **more})
    )


def colours_in_boxes(image: Tensor, layout: Layout) -> list[tuple[int, ...]]:
    """The mean colour of each box, without its border, in 0..255."""
    size = image.shape[-1]
    means = []
    for box in layout.boxes:
        x0, y0, x1, y1 = (round(edge * size) for edge in box)
        part = image[:, y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
        means.append(tuple(round(float(value + 1) * 127.5) for value in part.mean(dim=(1, 2))))
    return means


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures of different formats, sizes and aspect ratios, one in a subfolder."""
    write(tmp_path, "a.png", 120, 80, [(10, 10, 50, 60), (70, 20, 40, 40)])
    write(tmp_path, "b.PNG", 64, 200, [(8, 20, 40, 60), (10, 130, 50, 50)])
    write(tmp_path, "c.webp", 300, 100, [(20, 10, 60, 80), (120, 20, 60, 60), (220, 30, 70, 60)])
    (tmp_path / "more").mkdir()
    write(tmp_path / "more", "d.bmp", 90, 90, [(5, 5, 80, 80)])
    write(tmp_path / "more", "e.png", 40, 44, [(3, 4, 30, 30)])
    return tmp_path


def test_boxes_frame_the_same_content_in_every_crop(folder: Path) -> None:
    pictures = folder_batches(folder, 64, 4)
    seen = set()
    for number in range(10):
        batch = pictures[number]
        assert batch.latents is None
        assert batch.images is not None
        assert batch.images.shape == (4, 3, 64, 64)
        assert batch.images.dtype == torch.float32
        assert batch.images.min() >= -1
        assert batch.images.max() <= 1
        for image, layout in zip(batch.images, batch.layouts, strict=True):
            assert (layout.width, layout.height) == (64, 64)
            assert layout.instances
            for colour, text in zip(colours_in_boxes(image, layout), layout.local_descriptions, strict=True):
                assert np.abs(np.subtract(colour, COLOURS[int(text.split()[1])])).max() < 12
            seen.add((layout.caption, layout.instances[0].box))
    assert {caption for caption, _ in seen} == {"a.png", "b.PNG", "c.webp", "d.bmp", "e.png"}
    assert len({box for caption, box in seen if caption == "c.webp"}) > 3  # the crops differ


def test_batches_are_deterministic(folder: Path) -> None:
    first, again = folder_batches(folder, 32, 3, seed=4), folder_batches(folder, 32, 3, seed=4)
    for number in (7, 0, 3):
        assert torch.equal(first[number].images, again[number].images)
        assert first[number].layouts == again[number].layouts
    assert any(
        first[number].layouts != folder_batches(folder, 32, 3, seed=5)[number].layouts for number in range(3)
    )


def test_each_epoch_has_every_picture_once_in_a_new_order(folder: Path) -> None:
    pictures = folder_batches(folder, 16, 2)
    captions = [layout.caption for number in range(20) for layout in pictures[number].layouts]
    epochs = [tuple(captions[start : start + 5]) for start in range(0, 40, 5)]
    assert all(len(set(epoch)) == 5 for epoch in epochs)
    assert len(set(epochs)) > 4


@pytest.mark.slow
def test_data_loader_processes_give_the_same_batches(folder: Path) -> None:
    pictures = folder_batches(folder, 16, 2)
    loader = DataLoader(
        pictures, batch_size=None, sampler=range(3, 7), num_workers=2, multiprocessing_context="fork"
    )
    for number, batch in zip(range(3, 7), loader, strict=True):
        assert torch.equal(batch.images, pictures[number].images)
        assert batch.layouts == pictures[number].layouts
    copied = pickle.loads(pickle.dumps(pictures))
    assert torch.equal(copied[0].images, pictures[0].images)


def test_pictures_are_not_mirrored(tmp_path: Path) -> None:
    write(tmp_path, "a.png", 60, 60, [(0, 0, 25, 60), (35, 0, 25, 60)])
    pictures = folder_batches(tmp_path, 60, 1)
    for number in range(20):
        assert [box.x0 for box in pictures[number].layouts[0].boxes] == pytest.approx([0, 35 / 60])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    """Boxes refer to the turned picture."""
    turned = picture(100, 60, [(10, 10, 40, 40), (60, 20, 35, 35)])
    back = {
        1: None,
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (turned.transpose(back) if back else turned).save(
        tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif
    )
    boxes = [{"box": [10, 10, 40, 40], "caption": "thing 0"}, {"box": [60, 20, 35, 35], "caption": "thing 1"}]
    (tmp_path / "a.json").write_text(json.dumps({"annotations": boxes}))
    pictures = folder_batches(tmp_path, 60, 1)
    for number in range(6):
        image, (layout,) = pictures[number].images[0], pictures[number].layouts
        for colour, text in zip(colours_in_boxes(image, layout), layout.local_descriptions, strict=True):
            assert np.abs(np.subtract(colour, COLOURS[int(text.split()[1])])).max() < 12
    assert pictures.central_layouts(1, 60)[0].boxes


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_all_image_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    suffix = ".jpg" if mode == "CMYK" else ".png"
    picture(30, 20, [(2, 2, 10, 10)]).convert(mode).save(tmp_path / f"a{suffix}")
    (tmp_path / "a.json").write_text('{"annotations": [{"box": [2, 2, 10, 10], "caption": "it"}]}')
    assert folder_batches(tmp_path, 16, 1)[0].images.shape == (1, 3, 16, 16)


def test_central_layouts_are_cropped_to_the_middle(folder: Path) -> None:
    layouts = folder_batches(folder, 64, 2).central_layouts(3, 64)
    assert [layout.caption for layout in layouts] == ["a.png", "b.PNG", "c.webp"]
    assert {(layout.width, layout.height) for layout in layouts} == {(64, 64)}
    assert layouts[2].local_descriptions == ["thing 1"]
    assert len(folder_batches(folder, 64, 2).central_layouts(99, 64)) == 5


# Layout files


def layout_of(folder: Path, text: str, width: int = 200, height: int = 100) -> Layout:
    (folder / "a.json").write_text(text)
    return read_layout(folder / "a.jpg", width, height, NoticeLog())


def test_boxes_of_the_release_are_in_pixels_of_the_picture(tmp_path: Path) -> None:
    text = '{"caption": "all", "annotations": [{"box": [20, 30, 50, 40], "caption": ["it", "or so"]}]}'
    assert layout_of(tmp_path, text) == Layout(200, 100, (Instance(Box(0.1, 0.3, 0.35, 0.7), "it"),), "all")


def test_the_readmes_example_is_a_layout(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[3] / "training" / "README.md").read_text()
    layout = layout_of(tmp_path, text.split("```json")[1].split("```")[0], 960, 720)
    assert layout.caption == "a dog on a sofa"
    assert len(layout.instances) == 2


def test_width_and_height_in_the_json_give_the_unit_of_the_boxes(tmp_path: Path) -> None:
    text = '{"width": 400, "height": 200, "annotations": [{"box": [20, 30, 50, 40], "caption": "it"}]}'
    assert layout_of(tmp_path, text).boxes == [Box(0.05, 0.15, 0.175, 0.35)]


def sized(width: Any, height: Any) -> str:
    box = {"box": [1, 1, 20, 20], "caption": "it"}
    return json.dumps({"width": width, "height": height, "annotations": [box]})


@pytest.mark.parametrize(
    ("stated", "size"),
    [((768, 768), (160, 120)), ((100, 60), (60, 100)), ((60, 100), (100, 60)), ((512, 500), (500, 512))],
)
def test_a_layout_of_another_shape_is_an_error_that_names_both(
    tmp_path: Path, stated: tuple[int, int], size: tuple[int, int]
) -> None:
    """Of another picture, or written by a tool that ignores the EXIF orientation."""
    with pytest.raises(
        ValueError,
        match=r"a\.json: Its width and height are {} x {}, but a\.jpg has {} x {} pixels".format(
            *stated, *size
        ),
    ):
        layout_of(tmp_path, sized(*stated), *size)


@pytest.mark.parametrize(
    ("stated", "size"), [((4000, 3000), (1333, 1000)), ((641, 480), (320, 240)), ((333, 250), (4000, 3000))]
)
def test_a_scaled_picture_with_rounded_sides_has_the_same_shape(
    tmp_path: Path, stated: tuple[int, int], size: tuple[int, int]
) -> None:
    assert layout_of(tmp_path, sized(*stated), *size).boxes[0].x0 == pytest.approx(1 / stated[0])


@pytest.mark.parametrize("stated", [(0, 100), ("200", 100), (1e400, 100), (10**400, 100), (True, "x")])
def test_a_size_that_is_none_is_an_error(tmp_path: Path, stated: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"a\.json: "):
        layout_of(tmp_path, sized(*stated))


def test_missing_sizes_are_those_of_the_picture(tmp_path: Path) -> None:
    """Also beside a byte order mark, as editors on Windows write it."""
    for text in (sized(None, None), sized(None, 100), "\ufeff" + sized(200, None)):
        (tmp_path / "a.json").write_text(text, "utf-8")
        assert read_layout(tmp_path / "a.jpg", 200, 100, NoticeLog()).boxes == [Box(0.005, 0.01, 0.105, 0.21)]


def test_our_own_format_has_fractions_of_the_picture(tmp_path: Path) -> None:
    text = '{"caption": "all", "boxes": [{"x": 0.1, "y": 0.25, "w": 0.5, "h": 0.5, "caption": "it"}]}'
    assert layout_of(tmp_path, text) == Layout(200, 100, (Instance(Box(0.1, 0.25, 0.6, 0.75), "it"),), "all")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"a\.json: The file is not JSON: Expecting property name .* \(line 1, column 2\)\."),
        ("", r"a\.json: The file is empty\."),
        ('{"annotations": []}', r"a\.json has no boxes"),
        (
            '{"annotations": [{"box": [0, 0, 300, 20], "caption": "it"}]}',
            r"a\.json: Box 1 lies outside the canvas",
        ),
        ('{"annotations": [{"box": [0, 0, 30, 20]}]}', r"a\.json: Box 1 has no local description"),
        ('{"annotations": [{"box": [0, 0, 30], "caption": "it"}]}', r"a\.json: Box 1: 'box' must be"),
        ('{"things": 3}', r"a\.json: The layout is an object .* of no known format"),
    ],
)
def test_an_invalid_layout_is_an_error_naming_the_file(tmp_path: Path, text: str, message: str) -> None:
    picture(200, 100, []).save(tmp_path / "a.jpg")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        folder_batches(tmp_path, 64, 1)


def test_an_unusable_folder_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no folder .*nowhere"):
        folder_batches(tmp_path / "nowhere", 64, 1)
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"no pictures in {re.escape(str(tmp_path))}; expected \.jpg"):
        folder_batches(tmp_path, 64, 1)
    picture(20, 10, []).save(tmp_path / "b.jpg")
    with pytest.raises(ValueError, match=r"b\.jpg has no layout: there is no b\.json beside it"):
        folder_batches(tmp_path, 64, 1)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"b\.jpg cannot be read"):
        folder_batches(tmp_path, 64, 1)


def test_a_truncated_picture_is_found_before_the_training(tmp_path: Path) -> None:
    write(tmp_path, "a.png", 200, 100, [(10, 10, 50, 50)])
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.png cannot be read"):
        folder_batches(tmp_path, 64, 1)


@pytest.mark.parametrize("name", ["b.tif", "b.heic", "more/b.GIF"])
def test_pictures_of_other_formats_are_named_not_skipped(folder: Path, name: str) -> None:
    (folder / name).touch()
    with pytest.raises(ValueError, match=rf"1 pictures of formats that are not read: {name}"):
        folder_batches(folder, 64, 1)


def test_transparent_pixels_are_white_and_16_bit_gray_is_scaled(tmp_path: Path) -> None:
    """Not the colors that transparency hides, and not pure white."""
    layout = '{"annotations": [{"box": [2, 2, 10, 10], "caption": "it"}]}'
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(layout)
    assert (folder_batches(tmp_path, 16, 1)[0].images == 1).all()
    Image.fromarray(np.full((16, 16), 25700, np.uint16)).save(tmp_path / "a.png")
    assert folder_batches(tmp_path, 16, 1)[0].images.unique().item() == pytest.approx(100 / 127.5 - 1)
