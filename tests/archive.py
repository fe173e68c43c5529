"""The archive that the Comfy Registry gets, built by the rules of ``comfy node pack``.

Source of the rules: comfy-cli, comfy_cli/file_utils.py, ``zip_files``.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


def tracked_files() -> list[str]:
    """Files in git's index that exist in the working tree, as POSIX paths relative to the root."""
    return [name for name in _git_files() if (ROOT / name).is_file()]


def shipped_files() -> list[str]:
    """Tracked files that ``.comfyignore`` does not match, plus ``[tool.comfy] includes``.

    git itself matches ``.comfyignore``, so its patterns have exact gitignore semantics.
    """
    ignored = set(_git_files("--ignored", "--exclude-from=.comfyignore"))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["comfy"]
    included = [ROOT / name.strip("/") for name in settings.get("includes", [])]
    extra = [
        path.relative_to(ROOT).as_posix()
        for start in included
        for path in (start.rglob("*") if start.is_dir() else [start])
        if path.is_file()
    ]
    return sorted({*(name for name in tracked_files() if name not in ignored), *extra})


def build_archive(target: Path) -> None:
    """Write the shipped files to the zip file ``target``."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in shipped_files():
            archive.write(ROOT / name, name)


def install_archive(folder: Path) -> None:
    """Build the archive and unpack it into ``folder``, as the Manager installs a pack."""
    folder.mkdir(parents=True)
    target = folder.with_suffix(".zip")
    build_archive(target)
    with zipfile.ZipFile(target) as archive:
        archive.extractall(folder)
    target.unlink()


def _git_files(*options: str) -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The archive is built from git's files, and git failed: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name]
