"""The arguments of a pipeline's call, completed from layouts and checked before any work is done."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ifadapter_core.layout import Layout

from ..sampling import canvas_of

TEXTS = ("prompt", "prompt_2", "negative_prompt", "negative_prompt_2")
EMBEDS = (
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)
DEPRECATED = ("callback", "callback_steps")  # of diffusers, not in the signatures
OWN = ("adapter_strength", "adapter_start", "adapter_end", "front_hides_back")


def layout_list(layouts: Layout | Sequence[Layout]) -> list[Layout]:
    """One layout or several, as a list. Raises TypeError for anything else, ValueError for none."""
    if isinstance(layouts, Layout):
        return [layouts]
    given = list(layouts) if isinstance(layouts, (list, tuple)) else [layouts]
    for each in given:
        if not isinstance(each, Layout):
            raise TypeError(
                f"The pipeline got a {type(each).__name__}; expected a Layout or a list of layouts. Read one "
                'with Layout.from_json("layout.json", width=1024, height=1024).'
            )
    if not given:
        raise ValueError("The list of layouts is empty; expected one layout for each picture.")
    return given


def complete_arguments(pipe: Any, layouts: Sequence[Layout], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for ``pipe``: the given ones, with prompts and size of the layouts where they lack.

    given: arguments of the pipeline's own call. None counts as not given.

    Texts become lists with one text for each layout. Raises TypeError for names that the pipeline does
    not know and values of a wrong type, ValueError for sizes and lengths that do not fit the layouts.
    """
    known = inspect.signature(type(pipe).__call__).parameters
    _check_names(pipe, known, given)
    arguments = {name: value for name, value in given.items() if value is not None}
    if "padding_mask_crop" in arguments:
        raise ValueError(
            "padding_mask_crop is not supported: the UNet would see a part of the picture, and boxes are "
            "fractions of the whole. Crop picture, mask and layout first."
        )
    copies = arguments.setdefault("num_images_per_prompt", 1)
    if type(copies) is not int or copies < 1:
        raise ValueError(f"num_images_per_prompt is {copies!r}; expected a whole number of at least 1.")

    for name, size in zip(("height", "width"), canvas_of(layouts), strict=True):
        if arguments.get(name, size) != size:
            raise ValueError(
                f"{name} is {arguments[name]}, but the layouts are {size} pixels in this direction. Leave it "
                "out, or make the layouts with that size."
            )
        if name in known:
            arguments[name] = size

    if "prompt" not in arguments and "prompt_embeds" not in arguments:
        arguments["prompt"] = [layout.prompt for layout in layouts]
    for name in TEXTS:
        if name in arguments:
            arguments[name] = _one_for_each(name, arguments[name], len(layouts))
    for name in EMBEDS:
        if name in arguments and len(arguments[name]) != len(layouts):
            raise ValueError(
                f"{name} has {len(arguments[name])} rows for {len(layouts)} layouts. Give one for each."
            )
    return arguments


def _check_names(pipe: Any, known: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise TypeError for unknown names: the pipelines accept any and ignore it in silence."""
    unknown = [name for name in given if name not in known and name not in DEPRECATED]
    hints = [f"adapter_{name}" for name in unknown if f"adapter_{name}" in OWN]
    hint = f" The adapter's own arguments are {', '.join(hints)}." if hints else ""
    if unknown:
        raise TypeError(f"{type(pipe).__name__} has no argument {', '.join(unknown)}.{hint}")


def _one_for_each(name: str, value: Any, count: int) -> list[str]:
    if isinstance(value, str):
        return [value] * count
    if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) for text in value):
        raise TypeError(f"{name} is {value!r}; expected a text, or a list with one for each layout.")
    if len(value) != count:
        raise ValueError(
            f"{name} has {len(value)} texts for {count} layouts. Give one for each layout, or one for all."
        )
    return list(value)
