"""Reading a sweep file: points, and messages for wrong keys and values."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.commands.sweep_file import read_sweep


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        (
            "columns:",
            "colums:",
            r"sweep\.yaml: unknown: colums; missing: columns\. The keys are benchmark, generate",
        ),
        (
            "select: instances, ",
            "",
            r"axes: instances: give either options, containing \{value\}, or select",
        ),
        (
            "select: instances",
            "select: size",
            r"select is 'size'; expected one of instances, overlap",
        ),
        ("--strength {value}", "--strength", r"options is '--strength'; expected \{value\} in it"),
        ("[0, 1.5]", "[1.5, 0]", r"values is \[1\.5, 0\]; expected ascending numbers"),
        ("[0, 1.5]", "[a]", r"values is \['a'\]; expected a list of numbers"),
        (
            "variants: [IFAdapter, EoT token only]",
            "variants: [EoT]",
            r"variants is \['EoT'\]; expected some of IFAdapter, EoT token only",
        ),
        (
            "  EoT token only:",
            "  eot-token-only:\n  EoT token only:",
            r"have the same file name: eot_token_only, eot_token_only",
        ),
        (
            "--factor 2",
            "[2]",
            r"sweep\.yaml: score is \[2\]; expected options as on the command line",
        ),
        ("row.mean", '"row', r"sweep\.yaml is not YAML"),
    ],
)
def test_a_wrong_sweep_file_is_refused(config: Path, find: str, put: str, message: str) -> None:
    text = config.read_text()
    assert find in text
    config.write_text(text.replace(find, put))
    with pytest.raises(ValueError, match=message):
        read_sweep(config)


def test_axes_that_are_a_list_are_refused(config: Path) -> None:
    text = config.read_text()
    config.write_text(text[: text.index("axes:")] + "axes: [strength]")
    with pytest.raises(ValueError, match=r"axes is \['strength'\]; expected at least one name"):
        read_sweep(config)


@pytest.mark.parametrize("value", ["123456789", "0.12345678"])
def test_values_reach_the_options_exactly(config: Path, value: str) -> None:
    option, kind = ("--seed", int) if value.isdigit() else ("--strength", float)
    config.write_text(
        config.read_text()
        .replace("--strength {value}", f"{option} {{value}}")
        .replace("[0, 1.5]", f"[{value}]")
    )
    (point,) = (point for point in read_sweep(config).points if point.axis == "strength")
    settings = point.settings
    assert (settings.seed if kind is int else settings.source.control.strength) == kind(value)
