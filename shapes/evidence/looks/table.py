"""All looks by key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...drawing import Pixels
from ...sampler import World
from ...scene import Scene
from . import domains, styles


def same(scene: Scene) -> Scene:
    return scene


@dataclass(frozen=True)
class Look:
    """How scenes look and are worded.

    draw: the picture of a scene.
    restore: a picture of this look -> the plain picture that the judge knows.
    words: the scene with its texts in the look's words.
    sides: of the figures, if they differ from the world's.
    """

    title: str
    draw: Callable[[Scene], Pixels]
    restore: Callable[[Pixels], Pixels]
    words: Callable[[Scene], Scene] = same
    sides: tuple[float, float] | None = None

    def world(self, world: World) -> World:
        return world if self.sides is None else replace(world, sides=self.sides)


LOOKS = {
    "plain": Look("the demo's own look", styles.plain, styles.restore_nothing),
    "lines": Look("line drawings", styles.line_drawing, styles.restore_line_drawing),
    "palette": Look("another palette", styles.other_palette, styles.restore_other_palette),
    "shaded": Look("shading and noise", styles.shaded, styles.restore_nothing),
    "top view": Look(
        "top views",
        domains.top_view,
        styles.restore_nothing,
        domains.top_view_words,
        domains.TOP_SIDES,
    ),
    "section": Look("grey sections", domains.section, domains.restore_section, domains.section_words),
}
