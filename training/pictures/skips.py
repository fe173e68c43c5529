"""The list of the pictures that a run skips."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path


class SkipList:
    """A text file with a line for each skipped picture: its path, a tab, the reason.

    Data loader processes append to it, so it is read anew each time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def extend(self, skipped: Mapping[str, str]) -> None:
        """Append the pictures that are not listed yet."""
        known = set(self.names())
        lines = [f"{path}\t{reason}\n" for path, reason in skipped.items() if path not in known]
        if lines:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(lines)

    def add(self, picture: str, reason: str) -> None:
        """Append a picture, unless it is listed already, with a warning."""
        if picture not in self.names():
            self.extend({picture: reason})
            count = len(self.names())
            logging.warning("%s It is skipped, as are %d in all: see %s.", reason, count, self.path)

    def names(self) -> list[str]:
        """The paths of the pictures, each once."""
        if not self.path.exists():
            return []
        lines = self.path.read_text("utf-8").splitlines()
        return list(dict.fromkeys(line.partition("\t")[0] for line in lines))
