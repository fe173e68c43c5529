"""What a study is: a question, conditions that are painted and judged, and an answer from their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .layouts.layout_sets import LayoutSet
from .numbers.intervals import Estimate
from .numbers.scores import ALL, TITLES, Scores
from .painting import Painting


@dataclass(frozen=True)
class Condition:
    """One row of a study.

    key: unique in the study.
    groups: further groups of instances that are counted, see ``scores.PLACES``.
    """

    key: str
    title: str
    painting: Painting
    layouts: LayoutSet = field(default_factory=LayoutSet)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The difference of a measure: condition a minus condition b.

    paired: whether both have the same layouts.
    """

    a: str
    b: str
    measure: str = "success"
    group: str = ALL
    paired: bool = True

    @property
    def key(self) -> str:
        return f"{self.a} - {self.b}: {self.measure} of {self.group}"


@dataclass(frozen=True)
class Study:
    """One command's work.

    key: on the command line.
    title: heading on the page.
    text: what is done, Markdown.
    conditions: see ``Condition``.
    comparisons: differences whose intervals the answer needs.
    answer: the answer in one or two sentences, from the numbers.
    brief: the same in a few words, for the README; rates without a name are of instances judged right.
    plot: draws on matplotlib's figure.
    tables: Markdown of the numbers.
    shown: keys of conditions whose pictures the page shows.
    trains: whether it trains models.
    own_steps: whether its conditions say how many steps they train, in place of the run.
    frechet: whether the table has the Frechet distance to real drawings.
    extra: (studio, scores by condition) -> further numbers, as JSON.
    """

    key: str
    title: str
    text: str
    conditions: Sequence[Condition]
    comparisons: Sequence[Comparison]
    answer: Callable[[Record], str]
    brief: Callable[[Record], str]
    plot: Callable[[Record, Any], None]
    tables: Callable[[Record], str]
    shown: Sequence[str] = ()
    trains: bool = False
    own_steps: bool = False
    frechet: bool = False
    extra: Callable[[Any, dict[str, Scores]], dict[str, Any]] | None = None

    @property
    def command(self) -> str:
        return f'make evidence ARGS="--studies {self.key}"'


@dataclass(frozen=True)
class Question:
    """A line of the README's table, answered by one or two studies.

    carries: what of the answer may carry over to SDXL, and what may not.
    """

    text: str
    studies: tuple[Study, ...]
    carries: str


class Record:
    """The numbers of a study in results.json.

    settings: of the run.
    conditions: by key: ``title``, ``pictures``, ``instances``, ``frechet`` and ``rates``: by group and
        measure, [rate, low, high].
    differences: by ``Comparison.key``: [difference, low, high].
    extra: further numbers of single studies.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.settings: dict[str, Any] = values["settings"]
        self.conditions: dict[str, dict[str, Any]] = values["conditions"]
        self.extra: dict[str, Any] = values.get("extra", {})

    def rate(self, key: str, measure: str = "success", group: str = ALL) -> Estimate:
        return Estimate(*self.conditions[key]["rates"][group][measure])

    def difference(self, a: str, b: str, measure: str = "success", group: str = ALL) -> Estimate:
        """a minus b. The study compares the two in either order."""
        known = self.values["differences"]
        key = Comparison(a, b, measure, group).key
        if key in known:
            return Estimate(*known[key])
        value, low, high = known[Comparison(b, a, measure, group).key]
        return Estimate(-value, -high, -low)

    def title(self, key: str) -> str:
        return self.conditions[key]["title"]

    def compared(self, a: str, b: str, measure: str = "success", group: str = ALL) -> str:
        """A sentence's part on the difference of two conditions: see ``in_words``."""
        found = self.difference(a, b, measure, group)
        return in_words(self.title(a), self.title(b), found, TITLES[measure])

    def standing(self, keys: Sequence[str], reference: str, measure: str = "success") -> str:
        """The rates of a reference and of others; those with no clear difference to it say so."""
        parts = [f"{self.title(reference)} {percent(self.rate(reference, measure))}"]
        for key in keys:
            unclear = "" if is_clear(self.difference(key, reference, measure)) else " (no difference seen)"
            parts.append(f"{self.title(key)} {percent(self.rate(key, measure))}{unclear}")
        return ", ".join(parts)


def is_clear(difference: Estimate) -> bool:
    """Whether the interval of a difference leaves out 0."""
    return difference.low > 0 or difference.high < 0


def in_words(a: str, b: str, difference: Estimate, measure: str = "judged right") -> str:
    """Which of two is better and by how much, or that no difference is seen."""
    interval = f"95 %: {_signed(difference.low)} to {_signed(difference.high)}"
    if not is_clear(difference):
        points = f"{measure}: {_signed(difference.value)} points"
        return f"no difference seen between {a} and {b} ({points}, {interval})"
    verb = "more" if difference.value > 0 else "fewer"
    return f"{a}: {abs(100 * difference.value):.1f} points {verb} {measure} than {b} ({interval})"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0")


def share(estimate: Estimate) -> str:
    """A rate in words: percent with a decimal."""
    return f"{100 * estimate.value:.1f} %"


def percent(estimate: Estimate) -> str:
    """A rate in words: whole percent."""
    return f"{100 * estimate.value:.0f} %"
