"""Reads YAML files into dataclasses, which pydantic builds.

Every key must be a field. A value stays a text until it meets its field, whose type decides what the text
means: ``no`` is a name for ``mixed_precision`` and false for ``gradient_checkpointing``, and ``2026`` is a
number for ``steps`` and a folder for ``output``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")
CONFIGS = Path(__file__).parent / "configs"
RECIPES = Path(__file__).parent / "recipes"
QUOTED_NUMBER = re.compile(r"'([-+]?[\d.]+)'")
WRONG_KEYS = {"unexpected_keyword_argument": "unknown", "missing": "missing"}


class RepeatedKeyError(ValueError):
    """A section has a key twice. The message is the end of a sentence about the text."""


class TextLoader(yaml.SafeLoader):
    """YAML whose plain values are texts, except for null. Merge keys (``<<``) work.

    Raises RepeatedKeyError for a key that a section has twice: YAML forbids it, and PyYAML takes the last.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012, as in the base class
        first: [(tag, form) for tag, form in forms if tag.endswith((":null", ":merge"))]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:  # before merge keys are resolved, which a section's own keys replace
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                place = f"lines {lines[key.value]} and {line}" if line != lines[key.value] else f"line {line}"
                raise RepeatedKeyError(f"has the key {key.value} twice in one section, in {place}. Keep one.")
            lines[key.value] = line
        return node


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

    The settings of ``adapter.recipe`` apply where the config and the overrides give none. Of overrides of
    the same key the last one counts.

    Raises ValueError for a missing or malformed file, a key that is there twice, an unknown recipe, or a
    malformed override.
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
        data["adapter"] = _merge(read_recipe(adapter["recipe"], path.name), adapter)
    return data


def read_recipe(name: Any, where: str = "config") -> dict[str, Any]:
    """The settings of a recipe, whose values are texts.

    where: name of the config in messages.

    Raises ValueError that lists the recipes if there is none of this name.
    """
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

    Raises ValueError with a line for each key that is unknown, missing, of the wrong type or out of range.
    """
    # Standard dataclasses inherit the settings of what contains them.
    container = TypeAdapter(list[kind], config=ConfigDict(extra="forbid"))  # type: ignore[valid-type]
    try:
        return container.validate_python([data])[0]
    except ValidationError as error:
        lines = [_message(kind, where, problem) for problem in error.errors(include_url=False)]
        raise ValueError("\n".join(dict.fromkeys(lines))) from None


def _message(kind: type, where: str, problem: Mapping[str, Any]) -> str:
    """One line that names the key, what was given and what is expected."""
    sort, path, context = problem["type"], problem["loc"][1:], problem.get("ctx", {})
    if sort in WRONG_KEYS:
        *path, key = path
    if sort in WRONG_KEYS and isinstance(key, str):
        text = f": {WRONG_KEYS[sort]}: {key}. The keys are {', '.join(_keys(kind, path))}."
    elif sort == "value_error":  # of a dataclass that checks its values
        text = f": {context['error']}"
    else:
        literals = context.get("expected", "").replace("'", "").replace(" or ", ", ")
        expected = {
            "dataclass_type": "a section with keys",
            "literal_error": f"one of {literals}",
            "missing": "more values",
            "string_type": "a value of type str",
            "too_long": f"{context.get('max_length')} values",
            "tuple_type": "a list",
        }.get(sort, f"a value of type {sort.partition('_')[0]}")
        given = QUOTED_NUMBER.sub(r"\1", repr(problem["input"]))
        text = f" is {given}; expected {expected}."
    return where + "".join(f"[{key}]" if isinstance(key, int) else f": {key}" for key in path) + text


def _keys(kind: Any, path: Sequence[str | int]) -> list[str]:
    """The keys of a section, which may be optional."""
    for key in path:
        hint = get_type_hints(kind)[str(key)]
        kind = next(part for part in (hint, *get_args(hint)) if is_dataclass(part))
    return [entry.name for entry in fields(kind)]


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, TextLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {_yaml_problem(error)}.") from error
    except RepeatedKeyError as error:
        raise ValueError(f"{where} {error}") from None


def _yaml_problem(error: yaml.YAMLError) -> str:
    """One line: what is wrong, and where."""
    mark = getattr(error, "problem_mark", None)
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or str(error).splitlines()[0]}{place}"
