"""The sets of layouts that the studies paint."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...sampler import HELD_OUT, World, sample_scene
from ...scene import Scene
from ..looks.table import LOOKS
from .arrangements import pair_scene, stack_scene

Kind = Literal["held out", "pairs", "stacks", "counts"]
COUNT_SIDES = (44 / 128, 46 / 128)  # the smallest of training, so that ten figures find room
COUNT_SHARED = 6  # ``World.shared``: else five colours do not suffice for ten figures
ATTEMPTS = 20
OFFSET = 1000  # indices between the sets of two counts


@dataclass(frozen=True)
class LayoutSet:
    """Scenes by index.

    kind: held out = the drawn world's own; pairs = two figures of one IoU; stacks = figures on a
        diagonal; counts = figures of 44 to 46 pixels.
    value: the IoU of pairs, the number of figures of stacks and counts.
    look: a key of LOOKS: how its pictures look and its texts are worded.
    """

    kind: Kind = "held out"
    value: float = 0.0
    look: str = "plain"

    @property
    def title(self) -> str:
        kinds = {
            "held out": LOOKS[self.look].title,
            "pairs": f"pairs of IoU {self.value:g}",
            "stacks": f"stacks of {self.value:g}",
            "counts": f"{self.value:g} instances",
        }
        return kinds[self.kind]

    def settings(self) -> dict[str, Any]:
        """As JSON, without the usual look."""
        look = {} if self.look == "plain" else {"look": self.look}
        return {"kind": self.kind, "value": self.value, **look}

    def scene(self, world: World, index: int) -> Scene:
        """The scene of an index below 1000, the same in every run."""
        look = LOOKS[self.look]
        return look.words(self._scene(look.world(world), index))

    def _scene(self, world: World, index: int) -> Scene:
        if self.kind == "pairs":
            return pair_scene(world, self.value, index)
        if self.kind == "stacks":
            return stack_scene(world, int(self.value), index)
        if self.kind == "counts":
            number = int(self.value)
            equal = replace(world, instances=(number, number), sides=COUNT_SIDES, shared=COUNT_SHARED)
            return _next_possible(equal, HELD_OUT[OFFSET * (number - 1) + index])
        return sample_scene(world, HELD_OUT[index])


def _next_possible(world: World, index: int) -> Scene:
    """The scene of an index, or of the same index of another seed if it has no room for its figures."""
    for attempt in range(ATTEMPTS):
        with suppress(ValueError):
            return sample_scene(replace(world, seed=world.seed + attempt), index)
    return sample_scene(world, index)  # raises the error
