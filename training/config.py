"""Config files: YAML that fills dataclasses, every key known."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from ifadapter_diffusers.sampling import GUIDANCE
from shapes.sampler import World

from .adapter_stage import AdapterLoss, AdapterShape
from .loop import LoopConfig

T = TypeVar("T")
CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class StageConfig:
    """A stage of the demo's base model."""

    batch_size: int
    loop: LoopConfig


@dataclass(frozen=True)
class ShapesConfig:
    """The drawn world and the demo's base model. cached: different pictures that the base model and the adapter see."""

    world: World
    cached: int
    vae: StageConfig
    unet: StageConfig


@dataclass(frozen=True)
class FolderConfig:
    """Pictures with a layout each (see ``folder.py``), cropped and resized to ``size`` pixels a side."""

    path: str
    size: int


@dataclass(frozen=True)
class AdapterConfig:
    """The adapter and its training. samples: layouts on the sample sheets, whose pictures are drawn with ``guidance``."""

    batch_size: int
    shape: AdapterShape
    loop: LoopConfig
    loss: AdapterLoss = field(default_factory=AdapterLoss)
    gradient_checkpointing: bool = False
    samples: int = 8
    guidance: float = GUIDANCE


@dataclass(frozen=True)
class Config:
    """A whole config file. output: the folder of the run.

    base: a folder in diffusers' format, a hub name, or a checkpoint file; without it the model that ``shapes`` made.
    folder: the pictures; without it those of ``shapes``.
    """

    output: str
    adapter: AdapterConfig
    base: str | None = None
    folder: FolderConfig | None = None
    shapes: ShapesConfig | None = None


def load_config(name: str, overrides: Sequence[str] = ()) -> Config:
    """Read a config: the name of one in ``configs/``, or the path of a file; then ``adapter.loop.steps=100`` and the like.

    Raises ValueError that names the key when one is unknown, missing or of the wrong type.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIGS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.yaml")))
        raise ValueError(f"There is no config {name}. Give the path of a .yaml file, or one of {known}.")
    data = _parse(path.read_text("utf-8"), path.name)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"{override!r} is no setting; write key=value, as in adapter.loop.steps=100.")
        *parents, last = key.split(".")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise ValueError(f"{override!r} sets a part of what has no parts.")
        place[last] = _parse(value, override)
    return _build(Config, data, path.name)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {error}") from error


def _build(kind: Any, data: Any, where: str) -> Any:
    """``data`` as a value of this type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return (
            None
            if data is None
            else _build(next(part for part in arguments if part is not type(None)), data, where)
        )
    if is_dataclass(kind):
        return _build_dataclass(typing.cast(type, kind), data, where)
    if origin is Literal:
        if data not in arguments:
            raise ValueError(f"{where} is {data!r}; expected one of {', '.join(map(str, arguments))}.")
        return data
    if origin is tuple:
        if not isinstance(data, list):
            raise ValueError(f"{where} is {data!r}; expected a list.")
        if Ellipsis not in arguments and len(data) != len(arguments):
            raise ValueError(f"{where} is {data!r}; expected {len(arguments)} values.")
        return tuple(_build(arguments[0], entry, f"{where}[{number}]") for number, entry in enumerate(data))
    if kind is float and isinstance(data, str):  # YAML takes 1e-4 for a word
        data = _number(data)
    wanted = (int, float) if kind is float else kind
    if not isinstance(data, wanted) or (isinstance(data, bool) and kind is not bool):
        raise ValueError(f"{where} is {data!r}; expected a value of type {kind.__name__}.")
    return kind(data)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _build_dataclass(kind: type[T], data: Any, where: str) -> T:
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {data!r}; expected a section with keys.")
    hints = typing.get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = [key for key in data if key not in known]
    missing = [
        name
        for name, entry in known.items()
        if name not in data and entry.default is MISSING and entry.default_factory is MISSING
    ]
    if unknown or missing:
        problems = [f"unknown: {', '.join(map(str, unknown))}"] * bool(unknown) + [
            f"missing: {', '.join(missing)}"
        ] * bool(missing)
        raise ValueError(f"{where}: {'; '.join(problems)}. The keys are {', '.join(known)}.")
    return kind(**{key: _build(hints[key], value, f"{where}: {key}") for key, value in data.items()})
