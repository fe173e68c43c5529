"""The page of the studies and the README's table, from their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ifadapter_diffusers.demo_settings import GUIDANCE, STEPS

from ...results.readme import replace_between
from ...results.tables import markdown
from ..questions import QUESTIONS
from ..study import Question, Record, Study

ANSWER = "answer (percent of the instances judged right, unless named)"  # head of a column
USUAL = {"layouts": 300, "steps": STEPS, "guidance": GUIDANCE, "seed": 0, "device": "cpu"}  # of the command
BEGIN, END = "<!-- evidence: written by make evidence -->", "<!-- end of evidence -->"


def page(records: Mapping[str, Record]) -> str:
    """All questions as a Markdown page. Studies without numbers are named with their command."""
    parts = [_head(), markdown([("question", ANSWER), *_lines(records)])]
    for number, question in enumerate(QUESTIONS, 1):
        parts.append(f"## {number}. {question.text}")
        for study in question.studies:
            parts += _study(study, records.get(study.key))
        parts.append(f"**SDXL**: {question.carries}")
    return "\n\n".join(parts) + "\n"


def readme_table(records: Mapping[str, Record]) -> str:
    """One line for each question: the question, the answer, the commands."""
    lines = [("question", ANSWER, "command")]
    for question in QUESTIONS:
        commands = [
            _command(study, records[study.key]) if study.key in records else study.command
            for study in question.studies
        ]
        lines.append((question.text, answer(question, records), ", ".join(f"`{one}`" for one in commands)))
    return markdown(lines)


def answer(question: Question, records: Mapping[str, Record]) -> str:
    """The answers of a question's studies; those that have not run are named."""
    return " ".join(
        _sentence(study.brief(records[study.key])) if study.key in records else f"{study.title}: not run yet."
        for study in question.studies
    )


def update_table(path: Path, table: str | None = None) -> None:
    """See ``replace_between``."""
    replace_between(path, BEGIN, END, table)


def _head() -> str:
    return """# Open questions, measured in the drawn world

Written by `make evidence`. The paper leaves these questions open, or answers them in part. In the drawn world
of the [demo](../demo/README.md) each can be measured by one command: a program draws the scenes, and a
program judges the pictures. A run that was stopped resumes. Studies that have not run say so.

- **Judged right**: the instance is found at its box (IoU at least 0.5), and its shape, colour, pattern and
  pattern colour are right. **Drawn well**: judged right, and at least 80 % of its box's pixels have the right
  colour. See [the results](results/README.md).
- **Leaked**, in percent of the instances found: the shape, colour or pattern is wrong and is that of another
  instance of the layout. All other rates are in percent of all instances; an instance that is not found has
  no attribute right. **Frechet**: a distance to real drawings, lower is better; compare it within a table.
- **Intervals** are 95 % bootstrap intervals; the unit is the layout. Conditions with the same layouts start
  from the same noise and are resampled together. An answer says "no difference seen" where the interval of
  the difference contains 0. Intervals are not corrected for the number of comparisons.
- Layouts are held out: no model has trained on them.
- Each study names the weights that it used. Where [the results](results/README.md) name others, the demo's
  models have changed since.
- Sampling steps: a study with many conditions may use fewer than the demo; question 5 compares them.
- Models that a study trains are trained once, with one seed. The intervals do not include how much another
  training would differ. Their budget, which each study names, is far below that of the shipped adapter, and
  so are their rates: compare them with one another. *L = 4*, *semantic map*, *both kinds* and *IFAdapter,
  same budget* are one adapter where the budgets are equal.

`make evidence` runs the studies that train nothing; `make evidence ARGS="--studies all --device cuda"` runs
all on a GPU, `ARGS="--list"` lists them. On a CPU, give the studies that train a smaller budget, such as
`--train-batch 16 --train-steps 300 --pool 6000`: one core trains about 12 pictures a second, and
paints and judges one in 0.4 s."""


def _lines(records: Mapping[str, Record]) -> list[tuple[str, str]]:
    return [(question.text, answer(question, records)) for question in QUESTIONS]


def _study(study: Study, record: Record | None) -> list[str]:
    parts = [f"### {study.title}", study.text]
    if record is None:
        return [*parts, f"**Not run yet**: `{study.command}`"]
    return [
        *parts,
        _run_line(study, record),
        f"**Answer**: {_sentence(study.answer(record))}",
        f"![{study.title}](evidence/{study.key}.png)",
        study.tables(record),
        *([f"![{study.title}: pictures](evidence/{study.key}_pictures.png)"] if study.shown else []),
    ]


def _run_line(study: Study, record: Record) -> str:
    settings = record.settings
    text = (
        f"`{_command(study, record)}`: {settings['layouts']} layouts for each condition, "
        f"{settings['steps']} DDIM steps, guidance {settings['guidance']}, seed {settings['seed']}, "
        f"on {settings['device']}; weights {settings['weights']}"
    )
    if study.trains:
        steps = "" if study.own_steps else f"{settings['train_steps']} "
        text += f"; trained with {steps}steps of {settings['train_batch']} pictures each"
    return f"{text}."


def _command(study: Study, record: Record) -> str:
    """The command that repeats a study: with the budget of its trainings, and what differs from ``USUAL``."""
    settings = record.settings
    unusual = [name for name, value in USUAL.items() if settings[name] != value]
    options = [
        f"--{name.replace('_', '-')} {settings[name]}"
        for name in ("train_steps", "train_batch", "pool", *unusual)
        if name in settings
    ]
    if record.extra.get("steps") or record.extra.get("times"):
        options.append("--timing")
    return " ".join([study.command.removesuffix('"'), *options]) + '"'


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."
