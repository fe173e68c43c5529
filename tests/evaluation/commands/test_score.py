"""The command ``score``: its files, its metrics, and reuse of cached records."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import contents
from loopback import Answer, VisionServer, completion
from PIL import Image
from scenes import WORLD, write_drawings
from score_runs import COUNT, SHAPES, command
from tiny_clip import save_clip

from evaluation.__main__ import main
from evaluation.benchmark import read_benchmark
from evaluation.files import digest_of
from evaluation.judge import fid
from evaluation.judge.clip_score import ClipScore
from evaluation.judge.settings import ScoreSettings, VerifierSettings
from evaluation.report import score_folder


@pytest.mark.slow
def test_all_files_are_written(whole: Path) -> None:
    names = {
        "scoring.json",
        "scores.json",
        "table.md",
        "instances.csv",
        "successes.png",
        "failures.png",
    }
    assert contents(whole).keys() == names | {f"pictures/{number:05d}.json" for number in range(COUNT)}
    scores = json.loads((whole / "scores.json").read_text())
    instances = (whole / "instances.csv").read_text().splitlines()[1:]
    yes = sum(line.endswith(",yes") for line in instances)
    assert scores["instances"] == len(instances)
    assert scores["success"] == pytest.approx(yes / len(instances))
    assert 0 < yes < len(instances)
    assert scores["name"] == "altered"
    assert scores["detector"] == "shapes"
    assert scores["verifiers"] == ["shapes"]


def test_cached_results_need_no_model(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*command(shapes, tmp_path / "out"), "--clip", str(save_clip(tmp_path / "clip"))]
    assert main(words) == 0
    first = contents(tmp_path / "out")
    for name in (
        "report.score_folder.load_detector",
        "report.score_folder.load_verifier",
        "judge.clip_score.ClipScore",
    ):
        monkeypatch.setattr(f"evaluation.{name}", None)
    assert main(words) == 0
    assert contents(tmp_path / "out") == first


def test_only_captions_of_new_pictures_are_scored(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With some records missing, and after a picture changed."""
    pictures, scored = write_drawings(tmp_path / "pictures", COUNT, 0.4), []
    clip = save_clip(tmp_path / "clip")
    words = [
        "score",
        str(shapes),
        str(pictures),
        str(tmp_path / "out"),
        *SHAPES,
        "--clip",
        str(clip),
    ]
    score = ClipScore.score
    monkeypatch.setattr(
        ClipScore,
        "score",
        lambda self, picture, caption: scored.append(caption) or score(self, picture, caption),
    )
    assert main(words) == 0
    assert len(scored) == COUNT
    whole = contents(tmp_path / "out")
    for number in (1, 4):
        (tmp_path / "out" / "clip" / f"{number:05d}.json").unlink()
    assert main(words) == 0
    assert len(scored) == COUNT + 2
    assert contents(tmp_path / "out") == whole
    Image.new("RGB", (WORLD.size, WORLD.size)).save(pictures / "00003.png")
    assert main(words) == 0
    assert len(scored) == COUNT + 3


@pytest.mark.slow
def test_real_drawings_beat_altered_ones(shapes: Path, whole: Path, tmp_path: Path) -> None:
    assert main(command(shapes, tmp_path, "real")) == 0
    real, altered = (json.loads((folder / "scores.json").read_text()) for folder in (tmp_path, whole))
    assert real["success"] > 0.9 > altered["success"]
    assert real["ap50"]["value"] > altered["ap50"]["value"]
    assert real["benchmark"] == altered["benchmark"]


def test_changed_pictures_are_judged_again(shapes: Path, tmp_path: Path) -> None:
    pictures = write_drawings(tmp_path / "pictures", COUNT, 1.0)
    words = ["score", str(shapes), str(pictures), str(tmp_path / "out"), *SHAPES]
    assert main(words) == 0
    before = json.loads((tmp_path / "out" / "scores.json").read_text())["success"]
    write_drawings(pictures, COUNT, 0.0)
    assert main(words) == 0
    assert before == 0
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["success"] > 0.9


def test_the_fid_compares_with_the_real_pictures(
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def distance(generated: list[Path], real: list[Path], cache: Path, device: str) -> float:
        asked.append((generated, real))
        return 12.34

    monkeypatch.setattr("evaluation.report.score_folder.frechet_inception_distance", distance)
    monkeypatch.setitem(score_folder.PACKAGES, "fid", [])  # Inception's weights are not used
    assert main([*command(shapes, tmp_path), "--real", str(shapes / "real")]) == 0
    ((generated, real),) = asked
    assert [path.name for path in generated] == [path.name for path in real]
    assert real == fid.real_pictures(shapes / "real")
    assert digest_of(*generated) != digest_of(*real)
    assert " 12.3 |" in capsys.readouterr().out


def test_a_server_can_judge_together_with_a_program(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers yes, no and neither; the server fails once."""

    class Judge(VisionServer):
        def respond(self, method: str, path: str, content: Any) -> Answer | None:
            answer = super().respond(method, path, content)
            answers = ("Yes.", "no", "Yes, it is a circle", "**No**")
            return (
                completion(answers[len(self.requests) % len(answers)])
                if answer is not None and answer.status == 200
                else answer
            )

    monkeypatch.setattr("evaluation.vision_language.FIRST_WAIT_S", 0.0)
    judge = Judge(faults=[None, None, Answer(b"busy", 503)])
    words = [*command(shapes, tmp_path, "real"), "--verifier", f"judge@{judge.url}"]
    try:
        assert main(words) == 0
        asked = len(judge.requests)
        assert main(words) == 0
        assert len(judge.requests) == asked
    finally:
        judge.stop()
    scores = json.loads((tmp_path / "scores.json").read_text())
    rows = list(csv.DictReader(io.StringIO((tmp_path / "instances.csv").read_text())))
    counts = Counter(row["judge"] for row in rows)
    assert counts["yes"]
    assert counts["no"]
    assert counts["unparsable"] == scores["ifs"]["judge"]["unparsable"] > 0
    assert scores["ifs"]["judge"]["value"] == pytest.approx(counts["yes"] / len(rows))
    assert scores["verifiers"] == ["shapes", "judge"]
    records = [json.loads(path.read_text()) for path in (tmp_path / "pictures").iterdir()]
    answers = Counter(instance["answers"]["judge"] for record in records for instance in record["instances"])
    assert answers["Yes, it is a circle"] == counts["unparsable"]
    assert answers["Yes."] == counts["yes"]
    assert asked == len(rows) + 1
    assert f"judge: {counts['unparsable']} answers" in (tmp_path / "table.md").read_text()
    question = judge.requests[0][1]["messages"][0]["content"][1]["text"]
    assert rows[0]["description"] in question
    assert "{" not in question


def test_the_clip_score_uses_the_captions(shapes: Path, tmp_path: Path) -> None:
    clip = str(save_clip(tmp_path / "clip"))
    assert main([*command(shapes, tmp_path / "out"), "--clip", clip]) == 0
    numbers = json.loads((tmp_path / "out" / "scores.json").read_text())["clip"]
    entries = read_benchmark(shapes).entries
    pairs = [
        (Image.open(shapes / "altered" / f"{entry.name}.png"), entry.layout.caption) for entry in entries
    ]
    assert numbers["value"] == pytest.approx(np.mean([ClipScore(clip).score(*pair) for pair in pairs]))
    assert numbers["model"] == clip
    assert numbers["interval"][0] <= numbers["value"] <= numbers["interval"][1]


def test_the_keys_of_the_scores_are_known_before_there_are_pictures(shapes: Path, tmp_path: Path) -> None:
    words = [*command(shapes, tmp_path / "out"), "--clip", str(save_clip(tmp_path / "clip"))]
    assert main(words) == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    shapes_only = VerifierSettings("shapes")
    settings = ScoreSettings("shapes", None, (shapes_only,), scores["clip"]["model"])
    assert _keys(score_folder.sample_scores(settings, read_benchmark(shapes))) == _keys(scores)
    with_fid = score_folder.sample_scores(replace(settings, real=shapes), read_benchmark(shapes))
    assert _keys(with_fid["fid"]) == {"value": float, "real_pictures": int}


def _keys(value: Any) -> Any:
    """The structure of JSON: its keys, and the types of numbers."""
    return {key: _keys(each) for key, each in value.items()} if isinstance(value, dict) else type(value)
