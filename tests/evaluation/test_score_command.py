"""The whole scorer as people run it, on drawings of the small world: alone, killed, in two processes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scored
import scored_by_red
from loopback import Answer, VisionServer, completion
from PIL import Image
from scenes import WORLD, layout, write_drawings
from tiny_clip import save_clip

from evaluation.__main__ import main
from evaluation.benchmark import read_benchmark, write_benchmark
from evaluation.build.builder import build_drawn
from evaluation.commands import score as score_command
from evaluation.files import digest_of
from evaluation.judge import fid
from evaluation.judge.clip_score import ClipScore

ROOT = Path(__file__).resolve().parents[2]
COUNT = 6
SHAPES = ["--detector", "shapes", "--verifier", "shapes"]
ENVIRONMENT = {
    **os.environ,
    "ACCELERATE_USE_CPU": "true",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(map(str, (ROOT, Path(__file__).parent))),
}

LAUNCH = [
    sys.executable,
    "-m",
    "accelerate.commands.accelerate_cli",
    "launch",
    "--multi_gpu",
    "--num_processes",
    "2",
]
LAUNCH += [
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
    "--main_process_port",
    "0",
]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark, and in ``altered`` pictures of which some are wrong."""
    folder = tmp_path_factory.mktemp("shapes")
    build_drawn(folder, WORLD, COUNT)
    write_drawings(folder / "altered", COUNT, 0.4)
    return folder


@pytest.fixture(scope="module")
def whole(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of them."""
    output = tmp_path_factory.mktemp("whole")
    done = run([sys.executable, "-m", "evaluation", *command(shapes, output)])
    assert done.returncode == 0, done.stderr
    assert done.stdout == (output / "table.md").read_text()
    return output


def command(shapes: Path, output: Path, pictures: str = "altered") -> list[str]:
    return ["score", str(shapes), str(shapes / pictures), str(output), *SHAPES]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_writes_all_that_it_promises(whole: Path) -> None:
    names = {"scoring.json", "scores.json", "table.md", "instances.csv", "successes.png", "failures.png"}
    assert files(whole).keys() == names | {f"pictures/{number:05d}.json" for number in range(COUNT)}
    scores = json.loads((whole / "scores.json").read_text())
    instances = (whole / "instances.csv").read_text().splitlines()[1:]
    yes = sum(line.endswith(",yes") for line in instances)
    assert scores["instances"] == len(instances)
    assert scores["success"] == pytest.approx(yes / len(instances))
    assert 0 < yes < len(instances)
    assert scores["name"] == "altered"
    assert scores["detector"] == "shapes"
    assert scores["verifiers"] == ["shapes"]


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(shapes: Path, whole: Path, tmp_path: Path) -> None:
    words = command(shapes, tmp_path)
    done = run([sys.executable, scored.__file__, "3", *words])
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "pictures").iterdir())) == 3
    assert not (tmp_path / "table.md").exists()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "pictures").iterdir()}
    done = run(
        [sys.executable, scored.__file__, str(COUNT - 3), *words]
    )  # killed, if it judged more than is left
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) == files(whole)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_two_processes_make_the_same_files_as_one(shapes: Path, whole: Path, tmp_path: Path) -> None:
    done = run([*LAUNCH, "-m", "evaluation", *command(shapes, tmp_path)])
    assert done.returncode == 0, done.stderr[-3000:]
    assert files(tmp_path) == files(whole)
    assert done.stdout.count("IFAdapter (published)") == 1
    assert f"{COUNT // 2}/{COUNT // 2}" in done.stderr


def test_two_processes_measure_clip_and_fid_as_one_does(shapes: Path, tmp_path: Path) -> None:
    """The main process does it alone, when the others have gone."""
    clip = save_clip(tmp_path / "clip")
    outputs = {}
    for name, start in (("one", [sys.executable]), ("two", LAUNCH)):
        words = command(shapes, tmp_path / name)
        done = run(
            [*start, scored_by_red.__file__, *words, "--real", str(shapes / "real"), "--clip", str(clip)]
        )
        assert done.returncode == 0, done.stderr[-3000:]
        outputs[name] = {
            path: content for path, content in files(tmp_path / name).items() if not path.startswith("clip/")
        }
    one, two = (json.loads(outputs[name].pop("scores.json")) for name in ("one", "two"))
    assert outputs["two"] == outputs["one"]  # the table too, which rounds
    for measure in ("fid", "clip"):  # the last digits depend on the threads of a process
        assert two[measure]["value"] == pytest.approx(one[measure]["value"], rel=1e-5)
        assert two[measure]["value"] > 0


def test_what_is_known_needs_no_model(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*command(shapes, tmp_path / "out"), "--clip", str(save_clip(tmp_path / "clip"))]
    assert main(words) == 0
    first = files(tmp_path / "out")
    for name in (
        "commands.score.load_detector",
        "commands.score.load_verifier",
        "judge.clip_score.ClipScore",
    ):
        monkeypatch.setattr(f"evaluation.{name}", None)
    assert main(words) == 0
    assert files(tmp_path / "out") == first


def test_only_captions_of_new_pictures_are_scored(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a run that was killed, and when a picture was changed."""
    pictures, scored = write_drawings(tmp_path / "pictures", COUNT, 0.4), []
    clip = save_clip(tmp_path / "clip")
    words = ["score", str(shapes), str(pictures), str(tmp_path / "out"), *SHAPES, "--clip", str(clip)]
    score = ClipScore.score
    monkeypatch.setattr(
        ClipScore,
        "score",
        lambda self, picture, caption: scored.append(caption) or score(self, picture, caption),
    )
    assert main(words) == 0
    assert len(scored) == COUNT
    whole = files(tmp_path / "out")
    for number in (1, 4):
        (tmp_path / "out" / "clip" / f"{number:05d}.json").unlink()
    assert main(words) == 0
    assert len(scored) == COUNT + 2
    assert files(tmp_path / "out") == whole
    Image.new("RGB", (WORLD.size, WORLD.size)).save(pictures / "00003.png")
    assert main(words) == 0
    assert len(scored) == COUNT + 3


def test_several_folders_make_one_table(
    shapes: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(shapes, tmp_path / "real", "real")) == 0
    capsys.readouterr()
    assert main(["table", str(tmp_path / "real"), str(whole)]) == 0
    rows = capsys.readouterr().out.splitlines()
    single = [(folder / "table.md").read_text().splitlines() for folder in (tmp_path / "real", whole)]
    assert rows == [*single[0][:3], *single[1][2:]]


def test_what_was_scored_otherwise_is_no_row(
    shapes: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {**json.loads((whole / "scores.json").read_text()), "benchmark": "another"}
    (tmp_path / "scores.json").write_text(json.dumps(other))
    assert main(["table", str(whole), str(tmp_path)]) == 2
    assert re.search(
        r"are no rows of one table: benchmark is '\w+' and 'another'\. Score both alike",
        capsys.readouterr().err,
    )
    assert main(["table", str(whole), str(shapes)]) == 2
    assert (
        f"{shapes} has no scores.json. Give folders that `python -m evaluation score` wrote"
        in capsys.readouterr().err
    )


def test_real_drawings_beat_altered_ones(shapes: Path, whole: Path, tmp_path: Path) -> None:
    assert main(command(shapes, tmp_path, "real")) == 0
    real, altered = (json.loads((folder / "scores.json").read_text()) for folder in (tmp_path, whole))
    assert real["success"] > 0.9 > altered["success"]
    assert real["ap50"]["value"] > altered["ap50"]["value"]
    assert real["benchmark"] == altered["benchmark"]


def test_scores_of_other_settings_are_refused(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scoring.json").write_text(
        json.dumps({"benchmark": "another", "detector": "shapes", "verifiers": ["shapes"]})
    )
    assert main(command(shapes, tmp_path)) == 2
    assert "holds scores of other settings: benchmark was 'another'" in capsys.readouterr().err


def test_missing_pictures_are_an_error(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(shapes), str(tmp_path), str(tmp_path / "out"), *SHAPES]) == 2
    error = capsys.readouterr().err
    assert f"{COUNT} of {COUNT} pictures are not in {tmp_path}: 00000.png, 00001.png, 00002.png .." in error
    assert not (tmp_path / "out").exists()


def test_changed_pictures_are_judged_again(shapes: Path, tmp_path: Path) -> None:
    pictures = write_drawings(tmp_path / "pictures", COUNT, 1.0)
    words = ["score", str(shapes), str(pictures), str(tmp_path / "out"), *SHAPES]
    assert main(words) == 0
    before = json.loads((tmp_path / "out" / "scores.json").read_text())["success"]
    write_drawings(pictures, COUNT, 0.0)
    assert main(words) == 0
    assert before == 0
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["success"] > 0.9


def test_the_fid_is_to_the_real_pictures(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def distance(made: list[Path], real: list[Path], device: str) -> float:
        asked.append((made, real))
        return 12.34

    monkeypatch.setattr("evaluation.commands.score.frechet_inception_distance", distance)
    monkeypatch.setitem(score_command.PACKAGES, "real", [])  # Inception is not asked
    assert main([*command(shapes, tmp_path), "--real", str(shapes / "real")]) == 0
    ((made, real),) = asked
    assert [path.name for path in made] == [path.name for path in real]
    assert real == fid.real_pictures(shapes / "real")
    assert digest_of(*made) != digest_of(*real)
    assert " 12.3 |" in capsys.readouterr().out


def test_a_folder_without_real_pictures_is_told_before_anything_is_judged(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(shapes, tmp_path / "out"), "--real", str(tmp_path)]) == 2
    assert "has 0 pictures" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_server_judges_beside_a_program(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says yes, no, and what is neither; its server errors once."""

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


def test_the_clip_score_is_that_of_the_captions(shapes: Path, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threshold", "0.3"), "--threshold cannot be used"),
        (("--verifier", "model@somewhere"), "expected an address behind the @, as model@http"),
        (("--verifier", "no/such/model"), "no/such/model is no model that transformers can load"),
        (("--clip", "no/such/clip"), "no/such/clip is no model that transformers can load"),
        (("--real", "no/such/folder"), "no/such/folder has 0 pictures"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_options_that_cannot_be_are_refused_before_a_picture_is_looked_for(
    shapes: Path, tmp_path: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(shapes, tmp_path / "out", "none"), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_detector_that_is_no_model_is_refused(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "score",
                str(shapes),
                str(shapes / "none"),
                str(tmp_path),
                "--detector",
                str(tmp_path),
                "--verifier",
                "shapes",
            ]
        )
        == 2
    )
    assert f"{tmp_path} is no model that transformers can load" in capsys.readouterr().err


def test_what_is_not_installed_is_named(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(score_command.PACKAGES, "real", ["no_such_package"])
    assert main([*command(shapes, tmp_path), "--real", str(shapes / "real")]) == 2
    assert (
        "Not installed: no_such_package. Install what is missing: pip install -r" in capsys.readouterr().err
    )
    assert main(command(shapes, tmp_path)) == 0  # which does without it


def test_a_benchmark_of_another_world_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_benchmark(tmp_path / "cats", {"cat": layout(((0, 0, 50, 50), "a grey cat"))}, {})
    assert main(command(tmp_path / "cats", tmp_path / "out", "none")) == 2
    assert "'a grey cat' names no figure of the drawn world. Take a benchmark of" in capsys.readouterr().err
