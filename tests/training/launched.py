"""Script for processes that train together: a few steps of a tiny adapter. ``launch`` starts it.

Prints which process saves and which composes a sheet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

from held_out_latents import HeldOutLatents

import training.adapter_stage
from tiny_models import Batches, adapter_stage, layout
from training.config import LoopConfig
from training.loop import train
from training.objective.denoising import LayoutBatch
from training.objective.held_out import HeldOutLoss

ROOT = Path(__file__).resolve().parents[2]
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}
ZERO = {
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2",
    "DS_ACCELERATOR": "cpu",
    "LOCAL_SIZE": "2",
}
ENVIRONMENTS: dict[str, dict[str, str]] = {"ddp": {}, "fsdp": FSDP, "zero": ZERO}
CONFIG = LoopConfig(
    steps=5,
    learning_rate=1e-3,
    ema_decay=0.9,
    save_every=2,
    sample_every=1000,
    log_every=2,
    held_out_every=5,
    trackers=(),
)


def run(tokenizer: Path, folder: Path, config: LoopConfig = CONFIG, stop: int = -1, hang: int = -1) -> None:
    """Train in this process, which may be one of several.

    stop: number of a batch at which its process gets Ctrl-C. hang: number of one that never comes.
    """
    training.adapter_stage.SHEET_STEPS = 2
    stage = adapter_stage(tokenizer)
    stage.layouts = [layout(number) for number in range(3)]  # not a multiple of two
    stage.batches = Scripted(stop, hang)
    stage.held_out_loss = HeldOutLoss(stage.objective, HeldOutLatents(), 2)
    save = stage.save

    def announced(target: Path) -> None:
        sys.stdout.write(f"save:{os.environ.get('RANK')}\n")
        save(target)

    stage.save = announced
    pretend_accelerators()
    try:
        train(stage, config, folder)
    except KeyboardInterrupt:
        sys.exit(130)


class Scripted(Batches):
    """One batch is without instances, and one is not finite: each in one of two processes only."""

    EMPTY, BROKEN = 3, 7

    def __init__(self, stop: int, hang: int) -> None:
        super().__init__(empty=(self.EMPTY,))
        self.stop, self.hang = stop, hang

    def __getitem__(self, number: int) -> LayoutBatch:
        if number == self.stop:
            os.kill(os.getpid(), signal.SIGINT)
        if number == self.hang:
            sys.stdout.write("hangs\n")
            sys.stdout.flush()
            Event().wait(100)
        batch = super().__getitem__(number)
        assert batch.latents is not None
        return batch._replace(latents=batch.latents / 0) if number == self.BROKEN else batch


def pretend_accelerators() -> None:
    """Accelerate uses FSDP and DeepSpeed for other devices than CPUs only; they work on CPUs too."""
    divided = [name for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED") if name in os.environ]
    if divided:
        from accelerate.state import PartialState
        from accelerate.utils import DistributedType

        PartialState(cpu=True)
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        os.environ["ACCELERATE_USE_CPU"] = "false"


def launch(
    tokenizer: Path,
    folder: Path,
    config: LoopConfig = CONFIG,
    environment: dict[str, str] | None = None,
    **options: int,
) -> subprocess.Popen[str]:
    """Start this script in two processes, by accelerate's launcher in a session of its own."""
    given = {**asdict(config), **{f"option_{name}": value for name, value in options.items()}}
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu"]
    command += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    command += ["--dynamo_backend", "no", "--main_process_port", "0"]
    command += [__file__, str(tokenizer), str(folder), json.dumps(given)]
    paths = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {
        **os.environ,
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(paths),
        **(environment or {}),
    }
    return subprocess.Popen(
        command,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for all processes: exit status, output, errors. After a time limit they are killed."""
    try:
        out, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def main(tokenizer: str, folder: str, text: str) -> None:
    given: dict[str, Any] = json.loads(text)
    options = {
        name.removeprefix("option_"): given.pop(name) for name in list(given) if name.startswith("option_")
    }
    given["betas"], given["trackers"] = tuple(given["betas"]), tuple(given["trackers"])
    run(Path(tokenizer), Path(folder), LoopConfig(**given), **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
