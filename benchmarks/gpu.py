"""`make gpu`: correctness, speed and memory on a GPU, into build/gpu/report.json and report.md.

    python benchmarks/gpu.py [--parts exactness,unet,layers] [--out FOLDER]
    python benchmarks/gpu.py --write-docs build/gpu/report.json [MORE.json]

Needs CUDA, torch, numpy, safetensors and einops. With COMFYUI_PATH the UNet call and the text
encoding run in that ComfyUI; of it comfy/, folder_paths.py and the packages that they import are enough.
Else the UNet is diffusers', if that can be imported. Each part runs in its turn in a process of its
own command, so one that fails, hangs or crashes does not take the others with it. The exit code is 1
if a part failed, 0 otherwise, also where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gpu_parts.report import Report  # noqa: E402

# Name of each part -> its time limit in seconds. A limit is far above what a part takes on an H100.
PARTS = {
    "exactness": 60.0,  # compiles some forty kernels
    "unet": 70.0,
    "layers": 60.0,
    "encoding": 40.0,
    "memory": 15.0,
    "launches": 25.0,
    "compiled": 60.0,
}
GRACE = 10.0  # seconds that a row may take after its limit, where it cannot be interrupted


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="parts to run, separated by commas")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu", help="folder of the report")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the command itself")
    parser.add_argument("--seconds", type=float, help="time limit of each part")
    parser.add_argument("--total", type=float, default=150.0, help="time limit of the whole command")
    parser.add_argument("--kernels", default="torch", help="implementations of a layer to compare")
    parser.add_argument(
        "--write-docs",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="only write docs/performance.md; parts of a later report replace those of an earlier one",
    )
    parser.add_argument("--inside", nargs=2, metavar=("SECONDS", "PARTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.parts.split(",")) - PARTS.keys()
    if unknown:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; expected some of {', '.join(PARTS)}")
    return options


def supervise(parts: Sequence[str], path: Path, command: Sequence[str], total: float) -> None:
    """Run the parts in a process that adds to the report at ``path``; start it again where one dies.

    command: the process's. Its last arguments are added here: the seconds for all parts, and the
        parts separated by commas.
    total: seconds for all parts and processes.
    """
    end = time.monotonic() + total
    waiting = list(parts)
    while waiting and time.monotonic() < end:
        left = max(end - time.monotonic(), 1.0)
        process = subprocess.Popen([*command, f"{left:.0f}", ",".join(waiting)])
        try:
            code = process.wait(left + GRACE)
            ended = f"its process ended with code {code}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ended = f"the limit of {total:g} s for the whole command was over"
        report = Report(path)
        begun = [name for name in waiting if name in report.data["parts"]]
        for name in begun:
            part = report.data["parts"][name]
            if not part["finished"]:
                part["errors"].append(f"the part did not end: {ended}")
        if not begun:  # the process failed before its first part
            report.part(waiting[0], 0).fail(waiting[0], RuntimeError(f"the part did not start: {ended}"))
            begun = waiting[:1]
        waiting = [name for name in waiting if name not in begun]
        report.write()
    report = Report(path)
    for name in waiting:
        report.part(name, 0).fail(
            name, TimeoutError(f"the limit of {total:g} s for the whole command was over")
        )


def main() -> int:
    options = parse()
    if options.write_docs:
        from gpu_parts.tables import write_docs

        reports = [json.loads(path.read_text()) for path in options.write_docs]
        write_docs(reports, ROOT / "docs" / "performance.md")
        return 0
    path, parts = options.out / "report.json", options.parts.split(",")
    if options.inside:
        from gpu_parts.run import run_parts

        options.total, parts = float(options.inside[0]), options.inside[1].split(",")
        run_parts(options, Report(path), {name: options.seconds or PARTS[name] for name in parts})
        return 0
    path.unlink(missing_ok=True)
    given = ["--out", str(options.out), "--device", options.device, "--kernels", options.kernels]
    given += ["--small"] * options.small
    given += ["--seconds", str(options.seconds)] if options.seconds else []
    command = [sys.executable, __file__, *given, "--inside"]
    supervise(parts, path, command, options.total)
    from gpu_parts.tables import markdown_report  # imports torch, which each process does in its turn

    report = Report(path)
    text = markdown_report(report.data)
    (options.out / "report.md").write_text(text)
    print(text)
    if report.failed:
        print(f"These parts failed: {', '.join(report.failed)}. Their errors are above and in {path}.")
    return int(bool(report.failed))


if __name__ == "__main__":
    sys.exit(main())
