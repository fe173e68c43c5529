"""The results as a Markdown page."""

from __future__ import annotations

from typing import Any

from ..recognition.pixel_agreement import GOOD_SHARE
from ..sampler import World
from .rows import AUTOENCODER, FULL, HEAVY, REAL
from .tables import Rows, confusion_table, count_table, error_table, percent, score_table

FORMAT = 2  # of the report

SETS = {"held_out": "held-out layouts", "heavy": "held-out layouts with heavy overlap"}
PICTURES = {
    "held_out": "The first layouts with each method",
    "heavy": "Layouts with heavy overlap, with each method",
}


def page(report: dict[str, Any]) -> str:
    """The whole report as a Markdown page."""
    parts = [_head(report)]
    for name, title in SETS.items():
        parts += _set_part(report["sets"][name], name, title)
    parts += _autoencoder_part(report["sets"]) + _quickstart_part(report["quickstart"])
    parts += _confusion_part(report["sets"]["held_out"]) + _judge_part(report["sets"])
    return "\n\n".join(parts) + "\n"


def _head(report: dict[str, Any]) -> str:
    pictures = _any_row(report["sets"]["held_out"])["pictures"]
    return f"""# Results of the demo models

Written by `make results` for the models of [demo/](../../demo/README.md):
weights {report["weights"]} (the start of a SHA-256 over their files),
{report["steps"]} DDIM steps, guidance {report["guidance"]}, seed {report["seed"]}.

All methods start from the same noise. All but one get the same prompts, which name every detail
and no position. "Caption with rough positions" adds positions in words ("small, upper left"; five
rows, five columns), as the captions of the base model's training did.

- **Judged right**: the instance is found at its box (IoU at least 0.5), and its shape,
  colour, pattern and pattern colour are right.
- **Drawn well**: judged right, and at least {100 * GOOD_SHARE:.0f} % of the pixels of its box have the
  colour that a drawing of the scene has there. The colour of a pixel is the nearest of the eight
  colours of figures and the picture's own background, after a 3 x 3 filter: what the judge sees.
  "Judged right" alone ignores how well a figure is drawn.
- All rates are in percent of all instances; one that is not found has no attribute right. The
  intervals are 95 % bootstrap intervals over pictures.
- **The judge** is a program that compares the picture at each box with all figures that it knows,
  and takes the nearest. It also knows shapes, colours and patterns that the demo's world does not
  have, so it can name a wrong one. It was not tuned on generated pictures. The row "real drawings"
  is its score on drawings.
- **Caption only**: the base model without the adapter. Its caption, as that of the other methods, holds
  all descriptions.
- **Drawings through the autoencoder**: encoded and decoded, with nothing sampled: what the
  autoencoder alone loses.
- **Heavy overlap**: each figure takes, of {HEAVY} valid positions, the one with the most overlap. At
  least {100 * World.visible:.0f} % of each figure stays visible, as in training.
- **AP50**: average precision of a detector that does not know the layout, on the first
  {report["ap50_layouts"]} layouts.
- **Frechet**: distance of fixed features to {pictures} other real drawings; lower is better. Compare it
  within a table only.
- "Appearance tokens only" and "EoT token only": the same adapter with some tokens switched off,
  not adapters trained without them.
- "Regional attention": the cells of each box attend to its description through the base model's
  own cross attention.

See also [what a detail pass does to small figures](detail_pass.md)."""


def _set_part(rows: Rows, name: str, title: str) -> list[str]:
    row = _any_row(rows)
    parts = [
        f"## {row['pictures']} {title} ({row['instances']} instances)",
        score_table(rows),
        "Judged right, by number of instances:",
        count_table(rows, "success"),
        "Drawn well, by number of instances:",
        count_table(rows, "drawn_well"),
        f"![{PICTURES[name]}]({name}.png)",
    ]
    if name == "held_out" and FULL in rows:
        parts += [
            "The ten worst of these layouts: those with the smallest share of right instances.",
            "![The worst layouts](worst.png)",
        ]
    return parts


def _autoencoder_part(sets: dict[str, Rows]) -> list[str]:
    row = sets["held_out"].get(AUTOENCODER)
    if row is None:
        return []
    ratio = "exact" if row["psnr_db"] is None else f"{row['psnr_db']:.1f} dB"
    return [
        "## The autoencoder alone",
        f"Drawings through the autoencoder: judged right {percent(row['success'])} %, drawn well "
        f"{percent(row['drawn_well'])} %,\nPSNR {ratio} (mean over pictures).",
    ]


def _quickstart_part(scores: dict[str, Any] | None) -> list[str]:
    if scores is None:
        return []
    count, instances = len(scores["seeds"]), len(scores["descriptions"])
    right, good = (
        ", ".join(f"{number} of {instances}" for number in scores[key]) for key in ("right", "drawn_well")
    )
    return [
        "## The quickstart's layout",
        f"The layout of `workflows/try_it_without_downloads.json` ({'; '.join(scores['descriptions'])})\n"
        f"at seeds {scores['seeds'][0]} to {scores['seeds'][-1]}. All instances are drawn well at "
        f"**{scores['all_drawn_well']} of {count}** seeds, and judged right at\n"
        f"{scores['all_right']} of {count}.",
        f"- drawn well, seed by seed: {good}\n- judged right: {right}",
        "![The quickstart's layout at each seed](quickstart.png)",
    ]


def _confusion_part(rows: Rows) -> list[str]:
    if FULL not in rows:
        return []
    matrices = rows[FULL]["confusion"]
    return [
        "## What was asked and what was recognized",
        "IFAdapter, held-out layouts: percent of the instances with the asked value (rows) in which the\n"
        "judge recognized each value (columns).",
        "Pattern:",
        confusion_table(matrices["pattern"]),
        "Shape:",
        confusion_table(matrices["shape"]),
    ]


def _judge_part(sets: dict[str, Rows]) -> list[str]:
    real = {SETS[name]: rows[REAL] for name, rows in sets.items() if REAL in rows}
    if not real:
        return []
    return [
        "## The judge's own errors",
        "Instances of real drawings that the judge gets wrong: any attribute, then each of them. The\n"
        "attributes of an instance that it does not find count as wrong.",
        error_table(real),
    ]


def _any_row(rows: Rows) -> dict[str, Any]:
    """The first row: all of a set have the same counts."""
    return next(iter(rows.values()))
