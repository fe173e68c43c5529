"""Plug and play: the shipped adapter on base models of other looks, and with few steps."""

from __future__ import annotations

from typing import Any

from ..layouts.layout_sets import LayoutSet
from ..looks.table import LOOKS
from ..painting import Painting, Shipped
from ..report.plots import bars
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study, is_clear, percent, share
from ..trained.bases import FineTuned

STYLES = ("lines", "palette", "shaded")
RANK, PART = 8, 0.5
FEW = (4, 8)
OWN = "adapter own"
SAME = "no difference seen"
ALONE = "base alone, rough positions"
TEXT = f"""The shipped adapter, unchanged, on other base models than the one it was trained on:

- **Fine-tuned**: the base model trained further on line drawings, another palette, or shading with noise.
  Its text encoder is frozen. The decoder learns the look too, because the demo's latents are thumbnails.
- **Half merged**: the update of each matrix of the UNet is reduced to rank {RANK}, like a LoRA, and merged at
  strength {PART:g}, with half of the decoder's update. Such pictures lie between two looks; the judge reads
  them as the new one, which lowers both rows.
- **Few steps**: the plain base model with {FEW[0]} and {FEW[1]} DDIM steps in place of the run's.

Each is compared with the same base model alone, which gets rough positions in its prompt, to tell what the
base itself loses. The Frechet distance is that to drawings of the look: whether the look stays."""


def _bases() -> dict[str, tuple[str, Any, int | None, LayoutSet]]:
    """Key -> title, models, sampling steps, layouts."""
    bases: dict[str, tuple[str, Any, int | None, LayoutSet]] = {
        "own": ("its own base", Shipped(), None, LayoutSet())
    }
    for look in STYLES:
        bases[look] = (LOOKS[look].title, FineTuned(look), None, LayoutSet(look=look))
    for look in STYLES:
        half = FineTuned(look, RANK, PART)
        bases[f"half {look}"] = (f"half {LOOKS[look].title}", half, None, LayoutSet(look=look))
    for steps in FEW:
        bases[f"{steps} steps"] = (f"{steps} steps", Shipped(), steps, LayoutSet())
    return bases


BASES = _bases()


def conditions() -> list[Condition]:
    return [
        Condition(f"{kind} {key}", f"{title}: {words}", Painting(method, models=models, steps=steps), layouts)
        for key, (title, models, steps, layouts) in BASES.items()
        for kind, method, words in (("adapter", "full", "adapter"), ("alone", "placed", ALONE))
    ]


def answer(record: Record) -> str:
    parts = []
    for key in BASES:
        if key == "own":
            continue
        title, base = BASES[key][0], _loss(record, key, "alone")
        near, far = (record.conditions[f"{kind} {key}"]["frechet"] for kind in ("adapter", "alone"))
        parts.append(
            f"{title}: {_loss(record, key)} (the base alone: {base}; Frechet {near:.1f} and {far:.1f})"
        )
    return f"on its own base {share(record.rate(OWN))} judged right; on {'; '.join(parts)}"


def brief(record: Record) -> str:
    parts = []
    for key in (*STYLES, *(f"{steps} steps" for steps in FEW)):
        own, alone = (_loss(record, key, kind, digits=0) for kind in ("adapter", "alone"))
        both = "no difference seen for either" if own == alone == SAME else f"{own} (the base alone: {alone})"
        parts.append(f"{BASES[key][0]} {both}")
    rate = percent(record.rate(OWN))
    looks = f"{_drawn_well(record, 'adapter')} (the base alone: {_drawn_well(record, 'alone')})"
    return f"{rate} on its own base; {', '.join(parts)}. Drawn well: {looks}"


def _drawn_well(record: Record, kind: str) -> str:
    own, *looks = (percent(record.rate(f"{kind} {key}", "drawn_well")) for key in ("own", *STYLES))
    return f"{own}, in the looks {', '.join(looks)}"


def _loss(record: Record, key: str, kind: str = "adapter", digits: int = 1) -> str:
    found = record.difference(f"{kind} {key}", f"{kind} own")
    return f"{100 * found.value:+.{digits}f} points" if is_clear(found) else SAME


def plot(record: Record, figure: Any) -> None:
    figure.set_size_inches(8, 6)
    bars(figure.subplots(), record, tuple(record.conditions), ("success", "drawn_well"))


STUDY = Study(
    "looks",
    "Other looks and few steps",
    TEXT,
    conditions(),
    [
        Comparison(f"{kind} {key}", f"{kind} own", measure)
        for key in BASES
        if key != "own"
        for kind in ("adapter", "alone")
        for measure in ("success", "drawn_well")
    ],
    answer,
    brief,
    plot,
    condition_table,
    shown=[f"adapter {key}" for key in ("own", *STYLES, f"half {STYLES[0]}", f"{FEW[0]} steps")],
    trains=True,
    frechet=True,
)
