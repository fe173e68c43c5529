"""The page and the README's table."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from records import record

from shapes.evidence.questions import QUESTIONS, STUDIES
from shapes.evidence.report.page import BEGIN, END, page, readme_table, update_table
from shapes.evidence.report.plots import save_plot
from shapes.evidence.run import RESULTS, add_results, read_results, rounded, write_page, write_results
from shapes.evidence.study import Record

ROOT = Path(__file__).resolve().parents[3]
EXTRA = {
    "queries": {"weights": {f"L {count}": 768_000 for count in (1, 2, 4, 8)}, "times": {}},
    "ladder-control": {"weights": {"adapter": 768_000, "control": 2_500_000}},
}
RECORDS = {key: record(study, {}, extra=EXTRA.get(key)) for key, study in STUDIES.items()}


def test_a_study_that_has_not_run_is_named_with_its_command() -> None:
    text, table = page({}), readme_table({})
    for study in STUDIES.values():
        assert f"**Not run yet**: `{study.command}`" in text
        assert f"{study.title}: not run yet." in table
    assert "**Answer**" not in text
    assert ".png" not in text


def test_the_page_has_an_answer_a_plot_and_a_table_for_each_study_that_has_run() -> None:
    text = page(RECORDS)
    assert "Not run yet" not in text
    for study in STUDIES.values():
        assert text.count(f"(evidence/{study.key}.png)") == 1
        assert text.count(f"(evidence/{study.key}_pictures.png)") == bool(study.shown)
        assert {condition.key for condition in study.conditions} >= set(study.shown)
        assert study.tables(RECORDS[study.key]) in text
    assert text.count("**Answer**") == len(STUDIES)
    assert text.count("**SDXL**") == len(QUESTIONS) == 8


def test_the_command_of_a_study_repeats_its_trainings() -> None:
    text = page(RECORDS)
    budget = "--train-batch 160 --pool 1000"
    for study in STUDIES.values():
        steps = "" if study.own_steps else "--train-steps 600 "
        options = f" {steps}{budget}" if study.trains else ""
        assert f'`make evidence ARGS="--studies {study.key}{options}"`: 300 layouts' in text
    assert "; trained with 600 steps of 160 pictures each." in text
    assert "; trained with steps of 160 pictures each." in text
    on_gpu = RECORDS["tokens"].values
    on_gpu = {**on_gpu, "settings": {**on_gpu["settings"], "device": "cuda", "steps": 4}}
    assert '--studies tokens --steps 4 --device cuda"`' in page({"tokens": Record(on_gpu)})
    steps = [{"instances": 6, "plain_ms": 10.0, "adapted_ms": 12.5, "encode_ms": 3.0}]
    timed = {"steps": steps, "weight_share": 0.16, "repeats": 30, "device": "cpu"}
    cost = record(STUDIES["cost"], {}, extra=timed)
    assert '`make evidence ARGS="--studies cost --timing"`' in page({"cost": cost})


def test_the_table_has_a_line_for_each_question() -> None:
    lines = readme_table({"tokens": RECORDS["tokens"]}).splitlines()[2:]
    assert len(lines) == len(QUESTIONS)
    for line, question in zip(lines, QUESTIONS, strict=True):
        assert line.startswith(f"| {question.text} | ")
        assert all(f"--studies {study.key}" in line for study in question.studies)


def test_each_plot_can_be_drawn(tmp_path: Path) -> None:
    for key, study in STUDIES.items():
        path = tmp_path / f"{key}.png"
        save_plot(study, RECORDS[key], path)
        assert 2_000 < path.stat().st_size < 250_000


def test_results_of_a_study_are_kept_beside_others(tmp_path: Path) -> None:
    for key in ("tokens", "ladder"):
        write_results(tmp_path, STUDIES[key], RECORDS[key].values)
    again = record(STUDIES["tokens"], {"full": 0.9})
    write_results(tmp_path, STUDIES["tokens"], again.values)
    found = read_results(tmp_path)
    assert found.keys() == {"tokens", "ladder"}
    assert found["tokens"].rate("full").value == 0.9
    assert found["ladder"].values == rounded(RECORDS["ladder"].values)


def test_studies_that_end_together_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(RECORDS)) as runs:
        for job in [runs.submit(add_results, tmp_path, key, one.values) for key, one in RECORDS.items()]:
            job.result()
    assert set(read_results(tmp_path)) == set(RECORDS)


def test_a_readme_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_results(tmp_path, STUDIES["tokens"], RECORDS["tokens"].values)
    for _ in range(2):
        write_page(tmp_path, [readme])
        table = readme_table(read_results(tmp_path))
        assert readme.read_text() == f"before\n{BEGIN}\n\n{table}\n\n{END}\nafter\n"
    assert (tmp_path / "evidence.md").read_text() == page(read_results(tmp_path))


@pytest.mark.parametrize("text", ["no marks", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_readme_without_marks_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(ValueError, match=r"README\.md has no lines"):
        update_table(tmp_path / "README.md")


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / RESULTS).parent.mkdir(parents=True)
    (tmp_path / RESULTS).write_text('{"format": 0, "studies": {}}')
    with pytest.raises(ValueError, match="made by another version"):
        read_results(tmp_path)


def test_the_committed_page_is_up_to_date() -> None:
    docs = ROOT / "docs"
    committed = json.loads((docs / RESULTS).read_text("utf-8"))
    records = {key: Record(values) for key, values in committed["studies"].items()}
    assert records.keys() <= STUDIES.keys()
    assert (docs / "evidence.md").read_text("utf-8") == page(records)
    shown = {f"{key}_pictures" for key in records if STUDIES[key].shown}
    assert {path.stem for path in (docs / "evidence").glob("*.png")} == records.keys() | shown
