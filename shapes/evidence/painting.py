"""How a condition's pictures are painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from ifadapter_core.layout import Layout
from ifadapter_diffusers.painter import Painter
from ifadapter_diffusers.sampling import Control

from ..drawing import Pixels
from ..methods import METHODS as COMPARED
from ..results.rows import AUTOENCODER, REAL
from .methods.control_copy import CONTROL
from .methods.plain_mean import PLAIN_MEAN
from .methods.sequence import SEQUENCE

METHODS = {**COMPARED, **{method.key: method for method in (PLAIN_MEAN, SEQUENCE, CONTROL)}}


class Models(Protocol):
    """Which weights paint. A frozen dataclass: its fields are part of the cache's names."""

    def settings(self) -> dict[str, Any]:
        """Which weights these are, as JSON."""

    def recipe(self, studio: Any) -> dict[str, Any]:
        """The settings with which a study trains them, as JSON; empty for shipped ones."""

    def painter(self, studio: Any) -> Painter:
        """A painter with these weights, which are trained first if they do not exist."""


@dataclass(frozen=True)
class Shipped:
    """The demo's own models."""

    def settings(self) -> dict[str, Any]:
        return {"models": "shipped"}

    def recipe(self, _: Any) -> dict[str, Any]:
        return {}

    def painter(self, studio: Any) -> Painter:
        options = studio.options
        return Painter(options.demo, options.seed, options.steps, options.guidance, device=options.device)


@dataclass(frozen=True)
class Painting:
    """One way to paint layouts.

    method: a key of METHODS, or a row without a diffusion model: ``real``, ``autoencoder``.
    control: how the adapter acts.
    models: the weights.
    steps: sampling steps; None = those of the run.
    """

    method: str = "full"
    control: Control = field(default_factory=Control)
    models: Models = field(default_factory=Shipped)
    steps: int | None = None

    @property
    def samples(self) -> bool:
        """Whether a diffusion model paints."""
        return self.method not in (REAL, AUTOENCODER)

    @property
    def trains(self) -> bool:
        """Whether its weights are trained by the study."""
        return not isinstance(self.models, Shipped)

    def settings(self) -> dict[str, Any]:
        """All that decides the pictures, as JSON, except the number of steps and the models' training."""
        if self.method == REAL:
            return {"method": self.method}
        return {
            "method": self.method,
            "control": asdict(self.control),
            "models": self.models.settings(),
        }


def paint(painter: Painter, painting: Painting, layouts: Sequence[Layout], first: int, steps: int) -> Pixels:
    """Pictures (len(layouts), H, W, 3). first: index of the first layout. steps: of the run."""
    painter.control = painting.control
    painter.steps = painting.steps or steps
    return painter.paint(METHODS[painting.method], layouts, first)
