"""Overlapping boxes: the learned gate against the plain mean and the layout's order."""

from __future__ import annotations

from typing import Any

from ifadapter_diffusers.sampling import Control

from ..layouts.layout_sets import LayoutSet
from ..numbers.scores import ALL, PLACES
from ..painting import Painting
from ..report.plots import lines
from ..report.tables import group_table
from ..study import Comparison, Condition, Record, Study, in_words, is_clear, percent, share

IOUS = (0.0, 0.2, 0.4, 0.6)
STACKS = (2, 3, 4, 5)
COUNTS = tuple(range(1, 11))
SLOTS = 6  # of the demo's adapter
RULES = {
    "real": ("real drawings", Painting("real")),
    "gate": ("learned gate", Painting()),
    "mean": ("plain mean", Painting("mean")),
    "order": ("layout order", Painting(control=Control(front_hides_back=True))),
}
OVERLAPS = {
    **{f"pairs {iou:g}": LayoutSet("pairs", iou) for iou in IOUS},
    **{f"stacks {figures}": LayoutSet("stacks", figures) for figures in STACKS},
}
TEXT = f"""Three kinds of layouts, with figures of the sizes of training:

- **Pairs** of equal boxes with an IoU of 0, 0.2, 0.4 or 0.6. The front one then hides 0, 33, 57 or 75 % of
  the other box; training hides at most 40 % of a figure.
- **Stacks** of 2 to 5 boxes on a diagonal, each with an IoU of 0.28 with its neighbours.
- **1 to 10 instances** of 44 to 46 pixels that may overlap as in training. The adapter was trained with at
  most {SLOTS} instances, the number of its slots; with more, the softmax has one slot for each. More
  instances are also closer together.

Three rules decide in overlaps: the **learned gate** of the adapter; the **plain mean**, where the gate's
total weight for a cell is divided equally among the instances that cover it; and the **layout order**, where
the later box hides the earlier ones (*depth order* of the Semantic Map node). The adapter was trained with
the gate only. "Real drawings" is the judge's own score: it cannot recognize what is hidden."""


def conditions() -> list[Condition]:
    overlapping = [
        Condition(f"{rule} {name}", title, painting, layouts, PLACES)
        for name, layouts in OVERLAPS.items()
        for rule, (title, painting) in RULES.items()
    ]
    counted = [
        Condition(f"{rule} counts {count}", RULES[rule][0], RULES[rule][1], LayoutSet("counts", count))
        for count in COUNTS
        for rule in ("real", "gate")
    ]
    return overlapping + counted


def comparisons() -> list[Comparison]:
    rules = [
        Comparison(f"{rule} {name}", f"gate {name}", group=group)
        for name in OVERLAPS
        for rule in ("mean", "order")
        for group in (ALL, "back", "front")
    ]
    counts = [
        Comparison(f"gate counts {count}", f"gate counts {SLOTS}", paired=False)
        for count in COUNTS
        if count > SLOTS
    ]
    return rules + counts


def answer(record: Record) -> str:
    heaviest, stack = f"pairs {IOUS[2]:g}", f"stacks {STACKS[2]}"
    most = f"gate counts {COUNTS[-1]}"
    found = record.difference(most, f"gate counts {SLOTS}")
    slots = in_words(f"{COUNTS[-1]} instances", f"{SLOTS}", found)
    fronts, backs = (share(record.rate(f"gate {heaviest}", group=place)) for place in ("front", "back"))
    return (
        f"{versus(record, 'order')}; {versus(record, 'mean')}. At an IoU of {IOUS[2]:g} the learned gate "
        f"gets {fronts} of the front and {backs} of the back instances, in stacks of {STACKS[2]} "
        f"{share(record.rate(f'gate {stack}'))} of all. With more instances than in training: {slots}"
    )


def brief(record: Record) -> str:
    heavy = f"pairs {IOUS[2]:g}"
    places = " and ".join(
        f"{percent(record.rate(f'order {heavy}', group=place))} of the {place} ones "
        f"(learned gate {percent(record.rate(f'gate {heavy}', group=place))})"
        for place in ("front", "back")
    )
    rules = "; ".join(in_short(record, rule) for rule in ("order", "mean"))
    return f"compared with the learned gate, {rules}. In pairs of IoU {IOUS[2]:g} layout order gets {places}"


def in_short(record: Record, rule: str) -> str:
    """Where a rule differs from the learned gate: in how many sets with overlap, and by how many points."""
    sets = [name for name in OVERLAPS if name != "pairs 0"]
    found = [record.difference(f"{rule} {name}", f"gate {name}") for name in sets]
    points = {
        "more": sorted(100 * one.value for one in found if is_clear(one) and one.value > 0),
        "fewer": sorted(-100 * one.value for one in found if is_clear(one) and one.value < 0),
    }
    parts = [
        f"{values[0]:.0f} to {values[-1]:.0f} points {word} in {len(values)} of {len(sets)} sets with overlap"
        for word, values in points.items()
        if values
    ]
    unclear = len(sets) - sum(map(len, points.values()))
    if unclear:
        parts.append(f"no difference seen in {unclear}" if parts else "no difference seen")
    return f"{RULES[rule][0]}: {', '.join(parts)}"


def versus(record: Record, rule: str) -> str:
    """Where a rule is better or worse than the learned gate, over all layout sets with overlap."""
    found = {name: record.difference(f"{rule} {name}", f"gate {name}") for name in OVERLAPS}
    clear = {name: one for name, one in found.items() if is_clear(one) and name != "pairs 0"}
    if not clear:
        return f"{RULES[rule][0]}: no difference seen from the learned gate in any set"
    points = ", ".join(f"{_place(name)} {100 * one.value:+.1f}" for name, one in clear.items())
    return f"{RULES[rule][0]} in place of the learned gate, points: {points}"


def _place(name: str) -> str:
    kind, value = name.split()
    return f"pairs of IoU {value}" if kind == "pairs" else f"stacks of {value}"


def plot(record: Record, figure: Any) -> None:
    figure.set_size_inches(9, 6)
    axes = figure.subplots(2, 3)
    for row, (kind, values, label) in enumerate(
        (("pairs", IOUS, "IoU of a pair"), ("stacks", STACKS, "instances of a stack"))
    ):
        for column, group in enumerate(("front", "back")):
            series = {
                title: [(value, f"{rule} {kind} {value:g}") for value in values]
                for rule, (title, _) in RULES.items()
            }
            lines(axes[row, column], record, series, label, group=group)
            axes[row, column].set_title(f"{group} instance")
    middle = {
        title: [(value, f"{rule} stacks {value}") for value in STACKS] for rule, (title, _) in RULES.items()
    }
    lines(axes[1, 2], record, middle, "instances of a stack", group="middle")
    axes[1, 2].set_title("middle instances")
    counts = {
        RULES[rule][0]: [(count, f"{rule} counts {count}") for count in COUNTS] for rule in ("real", "gate")
    }
    lines(axes[0, 2], record, counts, "instances")
    axes[0, 2].axvline(SLOTS + 0.5, color="#888888", linestyle=":")
    axes[0, 2].set_title("all instances")
    axes[0, 0].legend(fontsize="small")


def tables(record: Record) -> str:
    pairs = {title: [f"{rule} pairs {iou:g}" for iou in IOUS] for rule, (title, _) in RULES.items()}
    stacks = {title: [f"{rule} stacks {figures}" for figures in STACKS] for rule, (title, _) in RULES.items()}
    counts = {RULES[rule][0]: [f"{rule} counts {count}" for count in COUNTS] for rule in ("real", "gate")}
    parts = [
        "Judged right, pairs by IoU:",
        group_table(record, pairs, [f"{iou:g}" for iou in IOUS], ("back", "front", ALL)),
        "Judged right, stacks by number of instances:",
        group_table(record, stacks, [str(figures) for figures in STACKS], ("back", "middle", "front", ALL)),
        "Judged right, by number of instances:",
        group_table(record, counts, [str(count) for count in COUNTS], (ALL,)),
    ]
    return "\n\n".join(parts)


STUDY = Study(
    "overlap",
    "Overlap",
    TEXT,
    conditions(),
    comparisons(),
    answer,
    brief,
    plot,
    tables,
    shown=[
        *(f"{rule} {name}" for name in ("pairs 0.4", "stacks 4") for rule in ("gate", "mean", "order")),
        "gate counts 10",
    ],
)
