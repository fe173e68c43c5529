"""A run keeps its settings, refuses to resume with others, and writes them into its weights."""

from __future__ import annotations

import json
import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from picture_files import write

import training.__main__ as command
from training.config import Config, load_config
from training.pictures.folder import FolderSamples
from training.run_settings import FILE, compare, describe, differences, git_state
from training.run_settings import write as write_settings

NAMES = ("a.png", "b.png")


def keep(folder: Path, settings: dict[str, Any], stage: str, override: bool = False) -> None:
    """As the command does."""
    compare(folder, settings, stage, override)
    write_settings(folder, settings)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in NAMES:
        write(pictures, name)
    return load_config("sdxl", [f"folder.path={pictures}", f"output={tmp_path / 'run'}"])


def described(config: Config) -> dict[str, Any]:
    assert config.folder
    return describe(config, FolderSamples(config.folder.path))


@pytest.fixture
def folder(tmp_path: Path, config: Config) -> Path:
    """The folder of a run that has saved a state."""
    found = tmp_path / "run" / "adapter"
    keep(found, described(config), "adapter")
    (found / "state").mkdir()
    return found


def entries(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / FILE).read_text())


def with_loop(config: Config, **changes: Any) -> Config:
    adapter = config.adapter
    return replace(config, adapter=replace(adapter, loop=replace(adapter.loop, **changes)))


def test_the_settings_have_everything_that_decides_a_run(config: Config, folder: Path) -> None:
    (entry,) = entries(folder)
    assert entry["config"]["adapter"]["loop"]["learning_rate"] == 1e-4
    assert entry["config"]["adapter"]["shape"]["blocks"] == ["mid_block", "up_blocks.0"]
    assert entry["pictures"]["count"] == 2
    assert entry["processes"] == 1
    assert set(entry["versions"]) == {"python", "torch", "diffusers", "transformers", "accelerate"}
    assert all(entry["versions"].values())
    assert "git" in entry


def test_the_same_settings_resume_and_add_nothing(config: Config, folder: Path) -> None:
    before = (folder / FILE).read_bytes()
    keep(folder, described(config), "adapter")
    assert (folder / FILE).read_bytes() == before


def test_other_settings_are_refused_with_the_list_of_differences(config: Config, folder: Path) -> None:
    before = (folder / FILE).read_bytes()
    changed = with_loop(config, learning_rate=2e-4, seed=3)
    message = (
        rf"The run in {folder} has other settings: "
        r"adapter\.loop\.learning_rate 0\.0001, now 0\.0002; adapter\.loop\.seed 0, now 3\. "
        r"Use its settings, choose another output, or add --override"
    )
    with pytest.raises(ValueError, match=message):
        keep(folder, described(changed), "adapter")
    assert (folder / FILE).read_bytes() == before


def test_override_resumes_with_other_settings_and_keeps_both(
    config: Config, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = with_loop(config, seed=3)
    keep(folder, described(changed), "adapter", override=True)
    assert "adapter.loop.seed 0, now 3" in caplog.text
    assert [entry["config"]["adapter"]["loop"]["seed"] for entry in entries(folder)] == [0, 3]
    keep(folder, described(changed), "adapter")  # from now on these are its settings
    with pytest.raises(ValueError, match=r"adapter\.loop\.seed 3, now 0"):
        keep(folder, described(config), "adapter")


def test_override_says_which_settings_come_too_late(
    config: Config, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(folder, described(with_loop(config, seed=3)), "adapter", override=True)
    assert "has started already" not in caplog.text
    shape = replace(config.adapter.shape, alpha=0.7)
    changed = replace(config, adapter=replace(config.adapter, shape=shape, init="other.bin"))
    keep(folder, described(changed), "adapter", override=True)
    assert "has started already, so it does not use adapter.init, adapter.shape.alpha." in caplog.text


@pytest.mark.parametrize("change", ["more", "fewer", "other layout", "other picture"])
def test_other_pictures_are_refused(config: Config, folder: Path, change: str) -> None:
    assert config.folder
    pictures = Path(config.folder.path)
    if change == "more":
        write(pictures, "c.png")
    elif change == "fewer":
        (pictures / "a.png").unlink()
    else:
        path = pictures / ("a.json" if change == "other layout" else "a.png")
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"pictures 2 with the hash \w{12}, now \d with the hash \w{12}"):
        keep(folder, described(config), "adapter")


def test_the_pictures_may_move(config: Config, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").rename(tmp_path / "moved")
    assert config.folder
    keep(
        folder,
        described(replace(config, folder=replace(config.folder, path=str(tmp_path / "moved")))),
        "adapter",
    )


def test_settings_that_do_not_decide_a_step_may_change(config: Config, folder: Path) -> None:
    changed = with_loop(config, steps=7, save_every=2, sample_every=3, workers=1)
    adapter = replace(changed.adapter, samples=1, guidance=2.0, gradient_checkpointing=False)
    changed = replace(changed, adapter=adapter, output="elsewhere")
    keep(folder, described(changed), "adapter")
    assert entries(folder)[-1]["config"]["adapter"]["loop"]["steps"] == 7


def test_the_number_of_processes_decides(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="processes 1, now 2"):
        keep(folder, described(config), "adapter")


def test_other_versions_and_code_are_said_and_kept(
    config: Config, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = described(config)
    settings["versions"]["torch"] = "9.0"
    settings["git"] = {"commit": "f00", "changed": True}
    with caplog.at_level(logging.WARNING):
        keep(folder, settings, "adapter")
    assert "other versions" in caplog.text
    assert "other code" in caplog.text
    assert entries(folder)[-1]["versions"]["torch"] == "9.0"


def test_a_run_without_a_state_starts_over(config: Config, folder: Path) -> None:
    (folder / "state").rmdir()
    keep(folder, described(with_loop(config, seed=3)), "adapter")
    assert [entry["config"]["adapter"]["loop"]["seed"] for entry in entries(folder)] == [3]


def test_a_run_that_cannot_start_leaves_nothing(config: Config, tmp_path: Path) -> None:
    assert config.folder
    arguments = ["adapter", "--config", "sd15", f"output={tmp_path / 'new'}", f"base={tmp_path / 'nowhere'}"]
    with pytest.raises(SystemExit):
        command.main([*arguments, f"folder.path={config.folder.path}"])
    assert not (tmp_path / "new").exists()


def test_a_run_of_an_earlier_version_has_no_settings(
    config: Config, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / FILE).unlink()
    keep(folder, described(config), "adapter")
    assert "has no settings.json, so its settings are not compared" in caplog.text
    assert len(entries(folder)) == 1


def test_damaged_settings_are_an_error_with_a_way_out(config: Config, folder: Path) -> None:
    (folder / FILE).write_bytes(b"")
    with pytest.raises(ValueError, match=r"settings\.json is damaged .* Remove it"):
        keep(folder, described(config), "adapter")


def test_settings_that_a_newer_version_adds_are_no_difference(config: Config) -> None:
    old, new = described(config), described(config)
    del old["config"]["adapter"]["loop"]["seed"]
    assert differences(old, new, "adapter") == []
    del new["config"]["adapter"]["loop"]["schedule"]
    assert differences(old, new, "adapter") == ["adapter.loop.schedule constant, now not set"]


def test_a_run_from_before_the_buckets_had_random_square_crops(config: Config) -> None:
    old, new = described(config), described(config)
    for key in ("aspect", "crops"):
        del old["config"]["folder"][key]
    assert differences(old, new, "adapter") == ["folder.aspect square, now buckets"]
    new["config"]["folder"] = {**new["config"]["folder"], "aspect": "square", "crops": 2}
    assert differences(old, new, "adapter") == ["folder.crops 0, now 2"]


def test_a_stage_is_compared_by_its_own_settings(config: Config) -> None:
    old, new = described(config), described(with_loop(config, seed=3))
    for entry, rate in ((old, 0.1), (new, 0.2)):
        entry["config"]["shapes"] = {"world": 1, "unet": {"loop": {"learning_rate": rate}}}
    assert differences(old, new, "unet") == ["shapes.unet.loop.learning_rate 0.1, now 0.2"]
    assert differences(old, new, "vae") == []
    assert differences(old, new, "adapter") == ["adapter.loop.seed 0, now 3"]


def test_the_state_of_the_code(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    (tmp_path / "a").write_text("1")
    identity = ("-c", "user.name=n", "-c", "user.email=e")
    for arguments in (("init", "-q"), ("add", "a"), (*identity, "commit", "-qm", "one")):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    clean = git_state(tmp_path)
    assert clean
    assert len(clean["commit"]) == 40
    assert not clean["changed"]
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == {**clean, "changed": True}
