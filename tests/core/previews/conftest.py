"""Fonts of the computer that draws the previews."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ifadapter_core.drawing import fonts, text


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """install(*paths): the fonts of this computer are these."""

    def run(*paths: Path) -> None:
        monkeypatch.setattr(fonts, "FONT_FILES", tuple(map(str, paths)))
        clear()

    def clear() -> None:
        fonts.font_of.cache_clear()
        text.length.cache_clear()

    run()
    yield run
    clear()
