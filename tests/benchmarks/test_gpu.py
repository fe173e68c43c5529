"""`make gpu`: it runs on any device, and what fails takes nothing else with it."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gpu
import pytest
import torch
from gpu_parts import unet_calls
from gpu_parts.bars import bars, ratio_of
from gpu_parts.measure import Successive
from gpu_parts.models import RELEASE
from gpu_parts.options import Options
from gpu_parts.report import Report
from gpu_parts.tables import END, START, write_docs
from release_size import release_shapes

from ifadapter_core.checkpoint import release_name
from ifadapter_core.config import RELEASE_SETTINGS
from ifadapter_core.weights.sizes import derive_config

ROOT = Path(__file__).resolve().parents[2]

# A process of parts: "crash" ends it, "hang" never ends, "early" ends it before it writes anything.
PROCESS = """
import os, sys, time
sys.path.insert(0, {benchmarks!r})
from pathlib import Path
from gpu_parts.options import Options
from gpu_parts.report import Report

report = Report(Path({path!r}))
for name in sys.argv[-1].split(","):
    if name == "early":
        os._exit(1)
    part = report.part(name, 60)
    part.row({{"what": name}}, lambda row: row.update(value=1))
    if name == "crash":
        os._exit(7)
    if name == "hang":
        time.sleep(60)
    part.finish()
"""


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path / "report.json")


def supervised(tmp_path: Path, parts: list[str], total: float = 60) -> dict[str, Any]:
    """The parts of the report after ``supervise`` with PROCESS."""
    path = tmp_path / "report.json"
    script = tmp_path / "process.py"
    script.write_text(PROCESS.format(benchmarks=str(ROOT / "benchmarks"), path=str(path)))
    gpu.supervise(parts, path, [sys.executable, str(script)], total)
    return json.loads(path.read_text())["parts"]


def test_a_row_that_fails_is_recorded_and_the_next_one_is_measured(report: Report) -> None:
    def fail(row: dict[str, Any]) -> None:
        row["first"] = 1
        raise RuntimeError("no such kernel")

    part = report.part("layers", 60)
    part.row({"case": "a"}, fail)
    part.row({"case": "b"}, lambda row: row.update(first=2))
    part.finish()

    content = json.loads(report.path.read_text())["parts"]["layers"]
    assert content["rows"] == [{"case": "a", "first": 1}, {"case": "b", "first": 2}]
    assert content["errors"] == ["a: RuntimeError: no such kernel"]
    assert report.failed == ["layers"]


def test_a_row_beyond_the_time_limit_is_left_out_with_a_reason(report: Report) -> None:
    def never_end(_row: dict[str, Any]) -> None:
        while True:
            pass

    part = report.part("layers", 0.2)
    part.row({"case": "endless"}, never_end)
    part.row({"case": "late"}, lambda row: row.update(first=1))
    part.finish()

    assert part.content["rows"] == []
    assert [reason.split(":")[0] for reason in part.content["left_out"]] == ["endless", "late"]
    assert report.failed == []


def test_parts_after_a_crash_run_in_a_new_process(tmp_path: Path) -> None:
    parts = supervised(tmp_path, ["good", "crash", "after"])

    assert {name: part["rows"] for name, part in parts.items()} == {
        name: [{"what": name, "value": 1}] for name in ("good", "crash", "after")
    }
    assert [name for name, part in parts.items() if part["errors"]] == ["crash"]
    assert "code 7" in parts["crash"]["errors"][0]


def test_a_process_that_does_not_start_costs_one_part(tmp_path: Path) -> None:
    parts = supervised(tmp_path, ["early", "after"])

    assert "did not start" in parts["early"]["errors"][0]
    assert parts["after"]["finished"]


@pytest.mark.slow
def test_a_part_that_hangs_is_stopped_and_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "GRACE", 0.0)
    parts = supervised(tmp_path, ["good", "hang", "after"], total=8)

    assert parts["good"]["finished"]
    assert parts["hang"]["rows"] == [{"what": "hang", "value": 1}]
    assert "limit of 8 s" in parts["hang"]["errors"][0]
    assert "limit of 8 s" in parts["after"]["errors"][0]


def test_bars_compare_with_the_limit_and_say_what_is_not_measured() -> None:
    ms = {"low": 1.0, "high": 1.0}
    unet = [
        {"variant": "without", "kernel": "torch", "ms": {**ms, "median": 100.0}},
        {"variant": "4 instances", "kernel": "torch", "ms": {**ms, "median": 101.0}},
        {"variant": "10 instances", "kernel": "torch", "ms": {**ms, "median": 104.0}},
    ]
    verdicts = {bar.what: bar.verdict for bar in bars({"parts": {"unet": {"rows": unet}}})}

    assert verdicts["UNet call: 4 instances / without"] == "met"
    assert verdicts["UNet call: 10 instances / without"] == "missed"
    assert set(verdicts.values()) == {"met", "missed", "not measured"}


def test_the_docs_are_replaced_between_their_markers_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    write_docs([{"setting": {}, "parts": {}}], page)
    text = page.read_text()

    assert text.startswith(f"before\n{START}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| bar |" in text
    page.write_text("no section")
    with pytest.raises(ValueError, match="no section"):
        write_docs([{"setting": {}, "parts": {}}], page)


def test_the_docs_join_the_parts_of_several_reports_of_one_machine(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{START}\n{END}\n")
    setting = {
        "device": "Card",
        "torch": "2",
        "cuda": "12",
        "python": "3",
        "dtype": "float16",
        "small": False,
    }

    def report(**parts: str) -> dict[str, Any]:
        made = {
            name: {"rows": [], "errors": [f"a: {error}"], "left_out": []} for name, error in parts.items()
        }
        return {"setting": setting, "parts": made}

    write_docs([report(unet="old", encoding="kept"), report(unet="new")], page)
    assert "a: new" in page.read_text()
    assert "a: kept" in page.read_text()
    assert "old" not in page.read_text()
    with pytest.raises(ValueError, match="different settings"):
        write_docs([report(), {"setting": {**setting, "device": "Other"}, "parts": {}}], page)


def test_a_ratio_of_unsteady_times_is_unknown() -> None:
    def row(variant: str, ms: float, **ratio: float) -> dict[str, Any]:
        made: dict[str, Any] = {"variant": variant, "kernel": "torch", "ms": {"median": ms}}
        return made | ({"ratio": ratio} if ratio else {})

    calls = [row("without", 99.0), row("4 instances", 100.0)]
    assert ratio_of(calls, "4 instances", "torch")[0] == pytest.approx(100 / 99)
    value, note = ratio_of([*calls, row("without, again", 68.0)], "4 instances", "torch")
    assert (value, note.partition(":")[0]) == (None, "unknown")
    steady = row("4 instances", 100.0, median=1.02, low=1.01, high=1.03)
    assert ratio_of([row("without", 68.0), steady], "4 instances", "torch") == (1.02, "")


def test_a_ratio_does_not_follow_a_machine_that_becomes_slower(report: Report) -> None:
    """Each use is compared with the calls just before it."""
    speed = iter(itertools.count(100))
    options = Options(torch.device("cpu"), small=False)

    def variant(factor: float) -> Any:
        def run(probe: Any) -> Any:
            _, finite = probe(lambda: torch.zeros(1))
            now = next(speed) // 2
            return Successive([now * factor], now), finite

        return run

    part = report.part("unet", 60)
    variants = {"without": variant(1.0), "4 instances": variant(1.5)}
    unet_calls._time_in_turns(part, variants, [("4 instances", "torch")], options)
    rows = {row["variant"]: row for row in part.content["rows"]}
    assert rows["4 instances"]["ratio"] == {"median": 1.5, "low": 1.5, "high": 1.5}
    assert len(rows) == 2


def test_the_page_has_the_section() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert text.index(START) < text.index(END)


def test_the_measured_adapter_has_the_sizes_of_the_release() -> None:
    shapes = {
        f"{part}.{key}": torch.empty(shape, dtype=torch.float16)  # memory that is never written
        for part, tensors in release_shapes().items()
        for key, shape in tensors.items()
    }
    assert derive_config(shapes, RELEASE_SETTINGS, release_name) == RELEASE.adapter


@pytest.mark.slow
def test_the_command_runs_every_part_on_the_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--small", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads((tmp_path / "report.json").read_text())

    assert done.returncode == 0, done.stderr
    assert list(report["parts"]) == list(gpu.PARTS)
    for name, part in report["parts"].items():
        assert part["finished"], name
        assert part["errors"] == [], name
        assert part["rows"] or name in ("launches", "compiled"), name
    assert all(row["finite"] for row in report["parts"]["unet"]["rows"] if "ms" in row)
    text = (tmp_path / "report.md").read_text()
    assert "nan" not in text
    assert "Tiny sizes" in text
