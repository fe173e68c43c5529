"""Reads YAML files into dataclasses.

Every key must be a field, and every value of the field's type.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

T = TypeVar("T")
CONFIGS = Path(__file__).parent / "configs"
RECIPES = Path(__file__).parent / "recipes"


def config_path(name: str) -> Path:
    """The file of a config: a name in ``configs/``, or a path.

    Raises ValueError if it does not exist.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIGS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.yaml")))
        raise ValueError(f"There is no config {name}. Give the path of a .yaml file, or one of {known}.")
    return path


def read_config(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Parse a config and apply overrides such as ``adapter.loop.steps=100``; keys are not checked.

    The settings of ``adapter.recipe`` apply where the config and the overrides give none.

    Raises ValueError for a missing or malformed file, an unknown recipe, or a malformed override.
    """
    path = config_path(name)
    data = _parse(path.read_text("utf-8"), path.name)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(
                f"{override!r} is not an override; write key=value, for example adapter.loop.steps=100."
            )
        *parents, last = key.split(".")
        section = data
        for parent in parents:
            section = section.setdefault(parent, {}) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            raise ValueError(f"{override!r} sets a key inside a value that is not a section.")
        section[last] = _parse(value, override)
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} is {data!r}; expected a section with keys.")
    adapter = data.get("adapter")
    if isinstance(adapter, dict) and adapter.get("recipe") is not None:
        data["adapter"] = _merge(_recipe(adapter["recipe"], path.name), adapter)
    return data


def _recipe(name: Any, where: str) -> dict[str, Any]:
    """The settings of a recipe. Raises ValueError that lists the recipes if there is none of this name."""
    known = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    if name not in known:
        raise ValueError(f"{where}: adapter: recipe is {name!r}; expected one of {', '.join(known)}.")
    return _parse((RECIPES / f"{name}.yaml").read_text("utf-8"), name)


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Nested sections, in which ``above`` wins."""
    both = {**below, **above}
    for key, value in below.items():
        if isinstance(value, dict) and isinstance(above.get(key), dict):
            both[key] = _merge(value, above[key])
    return both


def build(kind: type[T], data: Any, where: str) -> T:
    """Parsed YAML as a dataclass. where: name of the data in messages.

    Raises ValueError naming the key if one is unknown, missing, of the wrong type or out of range.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {data!r}; expected a section with keys.")
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = [str(key) for key in data if key not in known]
    missing = [
        name
        for name, entry in known.items()
        if name not in data and entry.default is MISSING and entry.default_factory is MISSING
    ]
    problems = [
        f"{problem}: {', '.join(keys)}"
        for problem, keys in (("unknown", unknown), ("missing", missing))
        if keys
    ]
    if problems:
        raise ValueError(f"{where}: {'; '.join(problems)}. The keys are {', '.join(known)}.")
    hints = typing.get_type_hints(kind)
    values = {key: _build_value(hints[key], value, f"{where}: {key}") for key, value in data.items()}
    try:
        return kind(**values)
    except ValueError as error:  # of a dataclass that checks its values
        raise ValueError(f"{where}: {error}") from None


def _build_value(kind: Any, data: Any, where: str) -> Any:
    """Parsed YAML as a value of a field's type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):  # T | None
        if data is None:
            return None
        return _build_value(next(part for part in arguments if part is not type(None)), data, where)
    if is_dataclass(kind):
        return build(typing.cast("type[Any]", kind), data, where)
    if origin is Literal:
        if data not in arguments:
            raise ValueError(f"{where} is {data!r}; expected one of {', '.join(map(str, arguments))}.")
        return data
    if origin is tuple:
        if not isinstance(data, list):
            raise ValueError(f"{where} is {data!r}; expected a list.")
        if Ellipsis not in arguments and len(data) != len(arguments):
            raise ValueError(f"{where} is {data!r}; expected {len(arguments)} values.")
        return tuple(
            _build_value(arguments[0], entry, f"{where}[{number}]") for number, entry in enumerate(data)
        )
    if kind is float and isinstance(data, str):  # YAML 1.1 reads 1e-4 as a string
        data = _to_float(data)
    wanted = (int, float) if kind is float else kind
    if not isinstance(data, wanted) or (isinstance(data, bool) and kind is not bool):
        raise ValueError(f"{where} is {data!r}; expected a value of type {kind.__name__}.")
    return kind(data)


def _to_float(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {error}") from error
