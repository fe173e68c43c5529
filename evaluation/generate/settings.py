"""Settings of ``generate``, and what of them is recorded with the pictures.

Importing this file needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import digest_of
from .workflow import Workflow

if TYPE_CHECKING:
    from ifadapter_diffusers.painter import Method
    from ifadapter_diffusers.sampling import Control


@dataclass(frozen=True)
class ComfyUISettings:
    """Pictures from running ComfyUI servers.

    servers: addresses, ``HOST:PORT`` or URLs; they share the work.
    workflow: the graph in API format, and its slots.
    timeout_s: time limit per picture, seconds.
    """

    servers: tuple[str, ...]
    workflow: Workflow
    timeout_s: float

    def recorded(self) -> dict[str, Any]:
        """This source's part of ``generation.json``.

        Servers and time limit are left out: they do not change pictures.
        """
        slots = {name: ".".join(filter(None, slot)) for name, slot in sorted(self.workflow.slots.items())}
        graph = json.dumps(self.workflow.graph, sort_keys=True).encode()
        return {
            "workflow": hashlib.sha256(graph).hexdigest(),
            "slots": slots,
            "graph": self.workflow.graph,
        }


@dataclass(frozen=True)
class DiffusersSettings:
    """Pictures from the method on diffusers.

    models: base model: a folder in diffusers' format, a hub id, or one ``.safetensors`` file.
    adapter: file of the adapter's weights.
    method: row of the method table: the adapter, a part of it, or a baseline.
    steps: sampler steps.
    guidance: scale of classifier-free guidance.
    layers: indices of the adapted layers that are active; None for all.
    control: strength, active part of the noise schedule, and depth order of the adapter.
    device: torch device.
    half: float16 for the UNet and the text encoders.
    """

    models: str
    adapter: Path
    method: Method
    steps: int
    guidance: float
    layers: tuple[int, ...] | None
    control: Control
    device: str
    half: bool

    def recorded(self) -> dict[str, Any]:
        """This source's part of ``generation.json``.

        Raises ValueError if the adapter's file does not exist.
        """
        if not self.adapter.is_file():
            raise ValueError(f"There is no adapter {self.adapter}. Give its file with --adapter.")
        return {
            "models": weights_id(self.models),
            "adapter": digest_of(self.adapter),
            "method": self.method.key,
            "steps": self.steps,
            "guidance": self.guidance,
            "layers": None if self.layers is None else list(self.layers),
            **asdict(self.control),
            "half": self.half,
        }


@dataclass(frozen=True)
class GenerateSettings:
    """How pictures are generated.

    seed: with a layout's name, it determines the seed of the layout's picture.
    source: what generates the pictures.
    """

    seed: int
    source: ComfyUISettings | DiffusersSettings

    def recorded(self) -> dict[str, Any]:
        """The content of ``generation.json`` but for the benchmark: everything that the pictures depend on.

        Resuming compares the bytes of that file, so the keys and their order must not change. Loads
        no model.
        """
        return {"seed": self.seed, **self.source.recorded()}


def weights_id(models: str) -> str:
    """SHA-256 of the weights if ``models`` is a file or a folder; a hub id stands for itself."""
    path = Path(models)
    if path.is_file():
        return digest_of(path)
    files = sorted(path.rglob("*.safetensors")) if path.is_dir() else []
    return digest_of(*files) if files else models
