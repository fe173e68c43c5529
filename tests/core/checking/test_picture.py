"""The drawn marks: all inside the picture, and different without colour."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ifadapter_core.checking.picture import marked_picture, marked_pictures
from ifadapter_core.checking.result import ImageResult, check
from ifadapter_core.layout import Box, Instance, Layout

BOX = Box(0.25, 0.25, 0.75, 0.75)


def result_of(mark: str, box: Box = BOX, size: tuple[int, int] = (600, 400)) -> ImageResult:
    x0, y0, x1, y1 = (edge * side for edge, side in zip(box, (*size, *size), strict=True))
    found = [] if mark == "missing" else [{"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}]
    layout = Layout(600, 400, (Instance(box, "a cat"),))
    (image,) = check([size], [layout], [[found]], ["no" if mark == "wrong" else "yes"]).images
    assert [instance.mark for instance in image.instances] == [mark]
    return image


def drawn(mark: str, **given: object) -> np.ndarray:
    result = result_of(mark, **given)  # type: ignore[arg-type]
    return np.asarray(marked_picture(Image.new("RGB", result.size, (128, 128, 128)), result), dtype=int)


def test_marks_differ_without_colour() -> None:
    """The outline, the sign and the word: away from the tag, and on it."""
    grey = {mark: drawn(mark).mean(-1) for mark in ("right", "wrong", "missing")}
    for one, other in (("right", "wrong"), ("right", "missing"), ("wrong", "missing")):
        away, tag = np.s_[200:310, 140:460], np.s_[100:125, 150:260]
        assert (np.abs(grey[one][away] - grey[other][away]) > 20).sum() > 100
        assert np.abs(grey[one][tag] - grey[other][tag]).max() > 100


def test_the_middle_of_the_box_and_the_rest_of_the_picture_stay() -> None:
    for mark in ("right", "wrong", "missing"):
        picture = drawn(mark)
        assert (picture[140:280, 270:430] == 128).all()
        assert (picture[:90] == 128).all()
        assert (picture[:, :140] == 128).all()


def test_small_pictures_are_enlarged_and_large_ones_keep_their_size() -> None:
    assert drawn("right", size=(96, 64)).shape == (341, 512, 3)
    assert drawn("right", size=(1500, 1000)).shape == (1000, 1500, 3)


@pytest.mark.parametrize("mark", ["right", "wrong", "missing"])
@pytest.mark.parametrize(
    "box",
    [Box(0, 0, 1, 1), Box(0.99, 0.99, 1, 1), Box(0, 0, 0.001, 0.001), Box(0.5, 0, 0.501, 1), Box(1, 1, 1, 1)],
)
def test_boxes_at_the_edges_and_without_room(mark: str, box: Box) -> None:
    picture = Image.new("RGB", (64, 64))
    result = result_of("wrong", box=BOX, size=(64, 64))
    instance = result.instances[0]
    x0, y0, x1, y1 = (edge * 64 for edge in box)
    moved = type(instance)(
        (x0, y0, x1, y1),
        "a cat",
        None,
        0.0,
        True,
        None,
        mark,  # type: ignore[arg-type]
    )
    shown = marked_picture(picture, ImageResult(result.layout, (64, 64), (moved,)))
    assert shown.size == (512, 512)
    assert np.asarray(shown).any()


def test_pictures_of_other_sizes_are_fitted_to_the_first() -> None:
    results = [result_of("right"), result_of("right", size=(300, 600))]
    pictures = [Image.new("RGB", result.size, "white") for result in results]
    first, second = marked_pictures(pictures, results)
    assert first.size == second.size == (600, 400)
    row = np.asarray(second)[390]
    assert (row[:180] < 50).all()
    assert (row[210:390] > 200).all()
    assert (row[-180:] < 50).all()
