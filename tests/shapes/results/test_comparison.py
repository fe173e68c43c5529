"""``python -m shapes.comparison``: a whole run with the demo's models, few layouts and one step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shapes.results.readme import BEGIN, END
from shapes.results.run import weights_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shapes.comparison", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_run_writes_the_page_the_sheets_and_the_tables_of_others(tmp_path: Path) -> None:
    readme, output = tmp_path / "README.md", tmp_path / "out"
    readme.write_text(f"{BEGIN}\n{END}\n")
    few = "--layouts 3 --heavy-layouts 2 --ap50-layouts 1 --steps 1 --processes 1"
    places = ("--output", str(output), "--work", str(tmp_path / "work"), "--update", str(readme))
    done = run(*few.split(), "--methods", "real", "autoencoder", "full", *places)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in output.iterdir()} == {
        "README.md",
        "results.json",
        *(f"{name}.png" for name in ("held_out", "heavy", "worst", "quickstart")),
    }
    report = json.loads((output / "results.json").read_text())
    for rows in report["sets"].values():
        assert list(rows) == ["real", "autoencoder", "full"]
        assert rows["real"]["drawn_well"] == rows["real"]["success"] >= 0.9
        assert rows["real"]["psnr_db"] is None
        assert 15 < rows["autoencoder"]["psnr_db"] < 60
        assert rows["full"]["drawn_well"] <= rows["full"]["success"]
        assert rows["full"]["psnr_db"] < rows["autoencoder"]["psnr_db"]
    assert len(report["quickstart"]["drawn_well"]) == 8
    assert "| **IFAdapter** |" in readme.read_text()

    again = tmp_path / "again"
    assert run("--report", str(output / "results.json"), "--output", str(again)).returncode == 0
    for name in ("README.md", "results.json"):
        assert (again / name).read_bytes() == (output / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layouts", "1"), "--layouts is 1; expected 2 to 5000"),
        (("--layouts", "6000"), "--layouts is 6000; expected 2 to 5000"),
        (("--heavy-layouts", "20000"), "--heavy-layouts is 20000; expected 2 to 5000"),
        (("--steps", "0"), "--steps is 0; expected at least 1"),
        (("--quickstart", "pyproject.toml"), "pyproject.toml"),
        (("--update", "LICENSE"), "LICENSE has no lines"),
        (("--demo", "nowhere"), "nowhere"),
        (("--report", "package.json"), "package.json: it was made by another version"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_painted(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run(*arguments, "--output", str(tmp_path / "out"), "--work", str(tmp_path / "work"))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_other_weights_have_another_hash(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"1")
    before = weights_name(tmp_path)
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"2")
    assert weights_name(tmp_path) != before


def test_the_hash_of_some_parts_depends_on_them_only(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"1")
    (tmp_path / "b.safetensors").write_bytes(b"1")

    def names() -> list[str]:
        return [
            weights_name(tmp_path, parts)
            for parts in (("unet",), ("b.safetensors",), ("",), ("unet", "b.safetensors"))
        ]

    before = names()
    assert before[2] == before[3] == weights_name(tmp_path)
    (tmp_path / "b.safetensors").write_bytes(b"2")
    assert [old != new for old, new in zip(before, names(), strict=True)] == [False, True, True, True]
