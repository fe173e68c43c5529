"""Tables and the page of the demo's results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scores import GOOD, MISSING, ROUGH, WRONG_SHAPE, scored

from shapes.recognition.verifier import ATTRIBUTES
from shapes.results.page import FORMAT, page
from shapes.results.readme import BEGIN, END, update_readme
from shapes.results.rows import TITLES
from shapes.results.summary import summarize
from shapes.results.tables import confusion_table, count_table, error_table, readme_table, score_table
from shapes.sampler import World, sample_scene

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def row() -> dict[str, Any]:
    """4 instances: 1 drawn well, 2 judged right, 3 found."""
    scenes = [sample_scene(World(instances=(2, 2), sides=(0.3, 0.6)), index) for index in range(2)]
    features = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    return summarize([scored(GOOD, ROUGH), scored(WRONG_SHAPE, MISSING)], scenes, features)  # type: ignore[arg-type]


def report(row: dict[str, Any], **sets: Any) -> dict[str, Any]:
    rows = dict.fromkeys(("real", "autoencoder", "full"), row)
    return {
        "format": FORMAT,
        "steps": 20,
        "guidance": 2.0,
        "seed": 0,
        "weights": "0123",
        "ap50_layouts": 100,
        "sets": {"held_out": rows, "heavy": rows, **sets},
        "quickstart": {
            "descriptions": ["a red circle", "a blue square"],
            "seeds": [1, 2, 3],
            "right": [2, 2, 1],
            "drawn_well": [2, 0, 1],
            "all_right": 2,
            "all_drawn_well": 1,
        },
    }


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_table_shows_both_measures_with_their_intervals(row: dict[str, Any]) -> None:
    head, _, real, full = map(cells, score_table({"real": row, "full": row}).splitlines())
    assert len(head) == len(real) == len(full) == 1 + 2 + len(ATTRIBUTES) + 2
    shown = dict(zip(head, full, strict=True))
    assert full[0] == TITLES["full"]
    assert shown["judged right"] == "**50.0** (0.0 to 100.0)"
    assert (shown["drawn well"], shown["found"]) == ("**25.0** (0.0 to 50.0)", "75.0")
    assert shown["AP50"] == "-"  # the detector did not run


def test_the_rates_by_number_of_instances(row: dict[str, Any]) -> None:
    assert count_table({"real": row}, "success").splitlines()[2] == "| real drawings | 50.0 |"
    assert count_table({"real": row}, "drawn_well").splitlines()[2] == "| real drawings | 25.0 |"


def test_the_judges_errors_are_counts_and_shares(row: dict[str, Any]) -> None:
    head, _, line = map(cells, error_table({"layouts": row}).splitlines())
    errors = dict(zip(head, line, strict=True))
    assert errors["any"] == "2 (50.0 %)"
    assert errors["found"] == errors["pattern"] == "1 (25.0 %)"
    assert errors["shape"] == "2 (50.0 %)"


def test_the_confusion_shows_only_values_that_occur(row: dict[str, Any]) -> None:
    head, _, line = map(cells, confusion_table(row["confusion"]["shape"]).splitlines())
    assert dict(zip(head, line, strict=True)) == {
        "asked": "circle",
        "circle": "**50.0**",
        "square": "25.0",
        "not found": "25.0",
    }


def test_the_page_says_everything_once(row: dict[str, Any]) -> None:
    text = page(report(row))
    assert text.count(score_table(report(row)["sets"]["held_out"])) == 2  # both sets
    for part in (
        "weights 0123",
        "judged right 50.0 %, drawn well 25.0 %,\nPSNR 20.0 dB",
        "**1 of 3** seeds, and judged right at\n2 of 3",
        "drawn well, seed by seed: 2 of 2, 0 of 2, 1 of 2",
        "## The judge's own errors",
    ):
        assert text.count(part) == 1
    for sheet in ("held_out", "heavy", "worst", "quickstart"):
        assert text.count(f"({sheet}.png)") == 1


def test_a_page_of_some_rows_has_no_empty_sections(row: dict[str, Any]) -> None:
    some = report(row, held_out={"caption": row}, heavy={"caption": row}) | {"quickstart": None}
    assert [line for line in page(some).splitlines() if line.startswith("## ")] == [
        "## 2 held-out layouts (4 instances)",
        "## 2 held-out layouts with heavy overlap (4 instances)",
    ]
    assert "worst.png" not in page(some)


def test_a_readme_gets_the_main_rows_between_its_marks(row: dict[str, Any], tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    table = readme_table({"full": row, "placed": row, "real": row})
    for _ in range(2):
        update_readme(readme, table)
        assert readme.read_text() == f"before\n{BEGIN}\n\n{table}\n\n{END}\nafter\n"
    assert [cells(line)[:3] for line in table.splitlines()[2:]] == [
        ["real drawings", "50.0 %", "25.0 %"],
        ["the same with rough positions in words", "50.0 %", "25.0 %"],
        ["**IFAdapter**", "**50.0 %**", "**25.0 %**"],
    ]


@pytest.mark.parametrize("text", ["no marks", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_readme_without_marks_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(ValueError, match=r"README\.md has no lines"):
        update_readme(tmp_path / "README.md")


def test_the_committed_pages_are_up_to_date() -> None:
    results = ROOT / "docs" / "results"
    committed = json.loads((results / "results.json").read_text("utf-8"))
    if committed.get("format") != FORMAT:
        pytest.skip("docs/results was made by an earlier version; run make results")
    assert (results / "README.md").read_text("utf-8") == page(committed)
    table = readme_table(committed["sets"]["held_out"])
    for name in ("README.md", "demo/README.md"):
        assert f"{BEGIN}\n\n{table}\n\n{END}\n" in (ROOT / name).read_text("utf-8")
