"""Run make targets one after the other, print the time of each, and fail if any of them failed.

A failed part does not stop the parts after it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(targets: list[str]) -> int:
    rows: list[tuple[str, int, float]] = []
    for target in targets:
        start = time.monotonic()
        code = subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, check=False).returncode
        rows.append((target, code, time.monotonic() - start))
    sys.stdout.write("\n")
    for target, code, seconds in rows:
        sys.stdout.write(f"{target:12} {seconds:6.0f} s  {'passed' if code == 0 else 'FAILED'}\n")
    sys.stdout.write(f"{'total':12} {sum(seconds for *_, seconds in rows):6.0f} s\n")
    return int(any(code for _, code, _ in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
