"""Another domain: as it is, and after some steps of the adapter alone."""

from __future__ import annotations

from typing import Any

from ..layouts.layout_sets import LayoutSet
from ..looks.table import LOOKS
from ..painting import Painting
from ..report.plots import lines
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study, in_words, percent, share
from ..trained.adapters import TrainedAdapter

DOMAINS = ("top view", "section")
STEPS = (0, 100, 300, 1000)
MEASURES = ("success", "drawn_well", "found")
TEXT = f"""Two domains that no model has seen: **top views**, with figures smaller than in all training, on
textured ground; and **grey sections**. Both have words that the vocabulary was not trained on ("a red tank
with white vents, from above"; "a bright nodule with dark speckles"). The base model is frozen throughout.
The adapter paints them as it is (0 steps) and after {STEPS[1]}, {STEPS[2]} and {STEPS[3]} steps of its own
on the domain, from the shipped weights. References: drawings of the domain, and these through the base
model's autoencoder, which does not know them. Where it keeps few of them, no adapter can help."""


def conditions() -> list[Condition]:
    made = []
    for domain in DOMAINS:
        layouts, title = LayoutSet(look=domain), LOOKS[domain].title
        made.append(Condition(f"{domain} real", f"{title}: drawings", Painting("real"), layouts))
        through = Painting("autoencoder")
        made.append(Condition(f"{domain} autoencoder", f"{title}: through the autoencoder", through, layouts))
        for steps in STEPS:
            tuned = TrainedAdapter(look=domain, fine_tuned=True, steps=steps)
            painting = Painting(models=tuned) if steps else Painting()
            made.append(Condition(f"{domain} {steps}", f"{title}: {steps} steps", painting, layouts))
    return made


def answer(record: Record) -> str:
    parts = []
    for domain in DOMAINS:
        title = LOOKS[domain].title
        rates = ", ".join(f"{steps}: {share(record.rate(f'{domain} {steps}'))}" for steps in STEPS)
        most = record.difference(f"{domain} {STEPS[-1]}", f"{domain} 0")
        gain = in_words(f"{STEPS[-1]} steps", "0 steps", most)
        bound = share(record.rate(f"{domain} autoencoder"))
        parts.append(f"{title}, judged right by steps: {rates} (through the autoencoder {bound}); {gain}")
    return "; ".join(parts)


def brief(record: Record) -> str:
    parts = []
    for domain in DOMAINS:
        first, *rates = (percent(record.rate(f"{domain} {steps}")) for steps in STEPS)
        kept = percent(record.rate(f"{domain} autoencoder"))
        parts.append(f"{LOOKS[domain].title} {first}, then {', '.join(rates)} (the autoencoder keeps {kept})")
    counts = ", ".join(str(steps) for steps in STEPS[1:])
    return f"before and after {counts} steps of the adapter alone: {'; '.join(parts)}"


def plot(record: Record, figure: Any) -> None:
    figure.set_size_inches(9, 3.4)
    for axes, measure in zip(figure.subplots(1, 3), MEASURES, strict=True):
        series = {
            LOOKS[domain].title: [(steps, f"{domain} {steps}") for steps in STEPS] for domain in DOMAINS
        }
        lines(axes, record, series, "steps of the adapter", measure)
        axes.set_xscale("symlog", linthresh=100)
        axes.set_xticks(STEPS, [str(steps) for steps in STEPS])
    axes.legend(fontsize="small")


STUDY = Study(
    "domains",
    "Another domain",
    TEXT,
    conditions(),
    [
        Comparison(f"{domain} {steps}", f"{domain} 0", measure)
        for domain in DOMAINS
        for steps in STEPS[1:]
        for measure in MEASURES
    ],
    answer,
    brief,
    plot,
    condition_table,
    shown=[f"{domain} {one}" for domain in DOMAINS for one in ("autoencoder", 0, STEPS[1], STEPS[-1])],
    trains=True,
    own_steps=True,
    frechet=True,
)
