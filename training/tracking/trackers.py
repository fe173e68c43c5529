"""Where the metrics of a run go: a file of its folder, and accelerate's trackers."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers

from ..config import LoopConfig
from ..run_settings import flatten
from ..whole_files import write_whole

METRICS, LOGS, PROJECT = "metrics.jsonl", "logs", "ifadapter"
WANDB_ID = "wandb_id.txt"
DEFAULT = "tensorboard"


class MetricsFile(GeneralTracker):
    """A JSON object a line, for each set of metrics: the step, and each metric by name."""

    name = "metrics_file"
    requires_logging_directory = False

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def tracker(self) -> Path:
        return self.path

    def resume(self, step: int) -> None:
        """Drop the lines of steps that the run has not done, and lines that were cut off."""
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        kept = [line for line in lines if line.endswith(b"\n") and step and _step(line) <= step]
        if kept != lines:
            write_whole(self.path, b"".join(kept))

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def tracker_names(config: LoopConfig) -> list[str]:
    """The config's trackers; by default tensorboard where it is installed.

    Raises ValueError for one that accelerate does not know or that is not installed.
    """
    installed = [str(tracker) for tracker in get_available_trackers()]
    if config.trackers is None:
        return [DEFAULT] if DEFAULT in installed else []
    for name in config.trackers:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise ValueError(
                f"trackers has {name!r}; expected some of {', '.join(map(str, LOGGER_TYPE_TO_CLASS))}."
            )
        if name not in installed:
            raise ValueError(f"trackers has {name}, which is not installed. Run pip install {name}.")
    return list(config.trackers)


def start_trackers(accelerator: Accelerator, folder: Path, step: int, settings: Mapping[str, Any]) -> None:
    """Start the accelerator's trackers for a run that has done ``step`` steps.

    folder: of the run. settings: of the run, as nested JSON.

    Raises ValueError if one cannot start.
    """
    options: dict[str, Any] = {"tensorboard": {"purge_step": step + 1}}  # hides steps that are repeated
    if "wandb" in map(str, accelerator.log_with) and accelerator.is_main_process:
        options["wandb"] = {
            "name": "/".join(folder.resolve().parts[-2:]),
            "dir": str(folder),
            "id": _wandb_id(folder / WANDB_ID),
            "resume": "allow",
        }
    for tracker in accelerator.log_with:
        if isinstance(tracker, MetricsFile) and accelerator.is_main_process:
            tracker.resume(step)
    logging.getLogger("tensorboardX.x2num").setLevel(logging.ERROR)  # the trainer itself tells of bad losses
    flat = {key: value if _is_plain(value) else str(value) for key, value in flatten(settings).items()}
    try:
        accelerator.init_trackers(PROJECT, flat, options)
    except Exception as error:  # of any tracker, such as one without a login
        raise ValueError(
            f"The trackers cannot start: {error} Set adapter.loop.trackers=[] to train without them."
        ) from error


def _wandb_id(path: Path) -> str:
    """The id by which a resumed run continues its own curves, drawn once for a folder."""
    found = path.read_text("utf-8") if path.exists() else ""
    if not found:  # also if the file was cut off
        found = uuid4().hex[:12]
        write_whole(path, found)
    return found


def _step(line: bytes) -> float:
    """The step of a line of the metrics; infinity if the line is damaged."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str))
