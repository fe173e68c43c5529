"""The settings of a run: kept in its folder, compared when it resumes, and written into its weights."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .config import Config
from .pictures.samples import Samples
from .state_files import saved_states
from .whole_files import write_whole

FILE = "settings.json"
GONE = "not set"
PACKAGES = ("torch", "diffusers", "transformers", "accelerate")

# Settings that may change when a run resumes: they do not decide what a step does, or they are meant to
# be changed, as the number of steps of a finished run.
FREE = frozenset(
    (
        *("output", "folder.path", "folder.max_bad"),  # a hash checks that the pictures are the same
        *("folder.shuffle", "folder.shard_cache", "folder.shard_cache_gb"),  # it tells their order too
        *("folder.held_out", "adapter.held_out_pictures", "adapter.recipe"),  # what a recipe sets is compared
        *("cache", "cache.path", "cache.latents", "cache.text"),  # a hash checks that they belong to the run
        *("shapes.minutes", "shapes.reserve", "shapes.export", "shapes.stages", "shapes.graphs"),
        "pool.processes",
        *("adapter.samples", "adapter.guidance", "adapter.gradient_checkpointing"),
        *("loop.steps", "loop.minutes", "loop.workers", "loop.save_every", "loop.sample_every"),
        *("loop.log_every", "loop.keep_states", "loop.max_skipped", "loop.trackers", "loop.held_out_every"),
    )
)
# Settings that decide only how a run starts.
START = ("adapter.init", "adapter.shape.alpha", "adapter.shape.base_projections")
# What runs did before there were these settings.
EARLIER = {"folder.aspect": "square", "folder.crops": 0}
# Sections of other stages, by stage.
FOREIGN = {
    "adapter": ("shapes.vae", "shapes.unet"),
    "vae": ("adapter", "shapes.unet", "base", "folder", "vae", "cache"),
    "unet": ("adapter", "shapes.vae", "base", "folder", "vae", "cache"),
}


def describe(
    config: Config, pictures: Samples | None = None, held_out: Samples | None = None
) -> dict[str, Any]:
    """Everything that decides a run, as JSON: config, pictures, processes, versions, state of the code.

    held_out: pictures on which the loss is measured; they decide no step.
    """
    return {
        "config": json.loads(json.dumps(asdict(config))),  # lists for tuples, as they are read back
        "pictures": _fingerprint(pictures),
        "held_out": _fingerprint(held_out),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "versions": {"python": sys.version.split()[0], **{name: _version(name) for name in PACKAGES}},
        "git": git_state(Path(__file__).parent),
    }


def compare(folder: Path, settings: dict[str, Any], stage: str, override: bool = False) -> None:
    """Compare the settings of a stage with those of the run that it resumes, if there is one.

    override: resume with other settings.

    Raises ValueError with the list of differences.
    """
    entries = _entries(folder)
    if not entries:
        if saved_states(folder):
            logging.warning("%s has no %s, so its settings are not compared.", folder, FILE)
        return
    found = differences(entries[-1], settings, stage)
    if found and not override:
        raise ValueError(
            f"The run in {folder} has other settings: {'; '.join(found)}. "
            "Use its settings, choose another output, or add --override to resume with the new ones."
        )
    if found:
        logging.warning("%s resumes with other settings: %s.", folder, "; ".join(found))
    if idle := [key for key in START if any(text.startswith(f"{key} ") for text in found)]:
        logging.warning("%s has started already, so it does not use %s.", folder, ", ".join(idle))
    for name, kind in (("versions", "versions"), ("git", "code")):
        if entries[-1].get(name) != settings[name]:
            logging.warning("%s resumes with other %s than before: %s.", folder, kind, settings[name])


def write(folder: Path, settings: dict[str, Any]) -> None:
    """Write the settings into the folder of a run.

    The file is a list: each run with other settings than the one before adds an entry. No-op except in
    the first of several processes.
    """
    entries = _entries(folder)
    if os.environ.get("RANK", "0") != "0" or (entries and entries[-1] == settings):
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, json.dumps([*entries, settings], indent=1) + "\n")


def _entries(folder: Path) -> list[dict[str, Any]]:
    """The settings of a run that resumes; empty for a run that has saved nothing yet.

    Raises ValueError for a damaged file.
    """
    path = folder / FILE
    if not saved_states(folder) or not path.exists():
        return []
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}). Remove it; the run then resumes without a comparison of settings."
        ) from error


def differences(old: Mapping[str, Any], new: Mapping[str, Any], stage: str) -> list[str]:
    """The settings of a stage that differ and may not, each as "key old, now new"."""
    before, now = (
        {**flatten(entry["config"]), "processes": entry["processes"], "pictures": _pictures(entry)}
        for entry in (old, new)
    )
    if "folder.path" in before:
        before |= {key: value for key, value in EARLIER.items() if key not in before}
    # Other keys that the older entry lacks are of a newer version of the trainer, which keeps what was done.
    keys = [key for key in before if _decides(key, stage) and before[key] != now.get(key, GONE)]
    return [f"{key} {before[key]}, now {now.get(key, GONE)}" for key in keys]


def flatten(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections -> values by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _decides(key: str, stage: str) -> bool:
    """Whether a setting decides what the steps of a stage do."""
    if any(key == section or key.startswith(f"{section}.") for section in FOREIGN[stage]):
        return False
    return key not in FREE and ".".join(key.split(".")[-2:]) not in FREE


def _fingerprint(samples: Samples | None) -> dict[str, Any] | None:
    """Number of the samples and a hash of them."""
    return None if samples is None else {"count": len(samples), "sha256": samples.fingerprint()}


def _pictures(entry: Mapping[str, Any]) -> str | None:
    pictures = entry["pictures"]
    return f"{pictures['count']} with the hash {pictures['sha256'][:12]}" if pictures else None


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, and whether files differ from it; None without git or outside a repository."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
