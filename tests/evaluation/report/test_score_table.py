"""The table, the CSV and the contact sheets show the scores."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image
from scenes import instance, picture_score

from evaluation.report.gallery import (
    FOUND_COLOUR,
    MAX_TILES,
    TILE_PX,
    is_success,
    spread,
    write_gallery,
)
from evaluation.report.metrics import Estimate
from evaluation.report.score_table import (
    PUBLISHED,
    PictureSetScores,
    instances_csv,
    summarize,
    table,
)

SETTINGS = {"benchmark": "abcdef0123456789", "detector": "dino", "verifiers": ["v", "w|x"]}
SCORES = [
    picture_score("p", instance(True), instance(False)),
    picture_score("q", instance(None), instance(found=False)),
]


def rows(text: str) -> list[dict[str, str]]:
    """The rows of a Markdown table, by column title."""
    lines = [
        line.replace("\\|", "/").strip("| ").split(" | ")
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def summary(whole_set: PictureSetScores | None = None) -> dict:
    return summarize("ours", SETTINGS, SCORES, SETTINGS["verifiers"], whole_set or PictureSetScores())


def test_our_row_is_above_the_published_ones() -> None:
    ours, *published = rows(table([summary()]))
    assert ours["method"] == "ours"
    assert ours["IFS v"].startswith("25.0 (")
    assert ours["IFS w/x"].startswith("0.0 (")
    assert ours["found"].startswith("75.0 (")
    assert ours["CLIP"] == ours["FID"] == ours["IFS QwenVL (published)"] == "-"
    assert len(published) == len(PUBLISHED)
    assert all(row["method"].endswith("(published)") for row in published)
    adapter = next(row for row in published if row["method"] == "IFAdapter (published)")
    expected = {"QwenVL": "79.7", "InternVL": "68.6", "CogVL": "61.0"}
    assert {name: adapter[f"IFS {name} (published)"] for name in expected} == expected
    assert (adapter["AP"], adapter["CLIP"], adapter["FID"], adapter["IFS v"]) == (
        "49.0",
        "25.1",
        "22.0",
        "-",
    )


def test_each_summary_has_a_row() -> None:
    other = {
        **summary(PictureSetScores(Estimate(20.0, (19.0, 21.0)), "some/clip")),
        "name": "other",
    }
    text = table([summary(), other])
    assert [row["method"] for row in rows(text)][:3] == ["ours", "other", "real images (published)"]
    assert [row["CLIP"] for row in rows(text)][:2] == [
        "-",
        "20.0 (19.0 .. 21.0)",
    ]
    assert "- CLIP score by some/clip." in text
    assert "v: 2 answers were neither yes nor no" in text


def test_unparsable_answers_are_counted() -> None:
    text = table([summary()])
    assert "v: 1 answers were neither yes nor no" in text
    assert "w|x: 0 answers" in text
    assert summary()["ifs"]["v"]["unparsable"] == 1


def test_success_is_that_of_the_first_verifier() -> None:
    numbers = summary()
    assert numbers["success"] == numbers["ifs"]["v"]["value"] == 0.25
    assert numbers["interval"] == numbers["ifs"]["v"]["interval"]
    assert numbers["pictures"] == 2
    assert numbers["instances"] == 4
    assert "clip" not in numbers
    assert "fid" not in numbers


def test_clip_score_and_fid_are_optional() -> None:
    numbers = summary(PictureSetScores(Estimate(25.12, (24.0, 26.0)), "some/clip", 22.04, 5000))
    ours = rows(table([numbers]))[0]
    assert ours["CLIP"] == "25.1 (24.0 .. 26.0)"
    assert ours["FID"] == "22.0"
    assert "FID to 5000 real pictures" in table([numbers])
    assert numbers["clip"]["model"] == "some/clip"
    assert numbers["fid"] == {
        "value": 22.04,
        "real_pictures": 5000,
    }


def test_each_instance_has_a_csv_row() -> None:
    found = list(csv.DictReader(io.StringIO(instances_csv(SCORES, ["v", "w"]))))
    assert [(row["picture"], row["number"], row["found"], row["v"], row["w"]) for row in found] == [
        ("p", "1", "yes", "yes", ""),
        ("p", "2", "yes", "no", ""),
        ("q", "1", "yes", "unparsable", ""),
        ("q", "2", "no", "", ""),
    ]
    assert found[0]["box"] == found[0]["detection"] == "10.0 10.0 50.0 50.0"
    assert found[0]["iou"] == "1.0000"
    assert found[3]["detection"] == found[3]["iou"] == found[3]["score"] == ""


def test_descriptions_with_commas_and_newlines_are_quoted() -> None:
    words = 'a "red",\nlarge cat'
    (row,) = csv.DictReader(
        io.StringIO(instances_csv([picture_score("p", instance(description=words))], ["v"]))
    )
    assert row["description"] == words


def test_the_sheets_show_successes_and_failures(tmp_path: Path) -> None:
    for number, name in enumerate("pq"):
        Image.new("RGB", (100, 50), (0, 0, 200 + number)).save(tmp_path / f"{name}.png")
    write_gallery(SCORES, tmp_path, tmp_path / "out")
    right, wrong = (
        np.asarray(Image.open(tmp_path / "out" / f"{name}.png")) for name in ("successes", "failures")
    )
    assert right.shape[1] == TILE_PX
    assert wrong.shape[1] > 3 * TILE_PX
    white_line = (right[: TILE_PX // 2] == 255).all(-1)
    # The left side of the layout's box, at 10 of 100 pixels.
    assert white_line[:, round(0.1 * TILE_PX)].sum() > 50
    # The detection is visible around the layout's box, although both are equal.
    assert (right[: TILE_PX // 2] == FOUND_COLOUR).all(-1).sum() > 100
    assert (right[TILE_PX:] < 128).all(-1).any()  # text


def test_an_empty_sheet_is_removed(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "p.png")
    write_gallery([picture_score("p", instance(False))], tmp_path, tmp_path)
    assert (tmp_path / "failures.png").exists()
    assert not (tmp_path / "successes.png").exists()
    write_gallery([picture_score("p", instance(True))], tmp_path, tmp_path)
    assert (tmp_path / "successes.png").exists()
    assert not (tmp_path / "failures.png").exists()


def test_a_sheet_samples_all_pictures_evenly() -> None:
    scores = [picture_score(str(number), instance(description=str(number))) for number in range(100)]
    shown = spread([(score, score.instances[0]) for score in scores])
    numbers = [int(one.description) for _, one in shown]
    assert len(numbers) == MAX_TILES
    assert numbers[0] == 0
    assert numbers[-1] > 90
    assert numbers == sorted(set(numbers))


def test_a_success_needs_every_verifier() -> None:
    both = instance()
    both.verdicts["w"] = None
    assert is_success(instance())
    assert not is_success(both)
    assert not is_success(instance(found=False))
