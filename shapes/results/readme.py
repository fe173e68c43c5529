"""The table of results inside another page, between two comment lines."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- results: written by make results -->", "<!-- end of results -->"


def update_readme(path: Path, table: str | None = None) -> None:
    """See ``replace_between``."""
    replace_between(path, BEGIN, END, table)


def replace_between(path: Path, first: str, last: str, table: str | None) -> None:
    """Replace what is between two comment lines; without a table, only check that they are there.

    Raises ValueError if they are not, OSError if the file cannot be read.
    """
    before, begin, rest = path.read_text("utf-8").partition(f"{first}\n")
    _, end, after = rest.partition(f"{last}\n")
    if not begin or not end:
        raise ValueError(f"{path} has no lines {first!r} and {last!r}. Put them where the table belongs.")
    if table is not None:
        path.write_text(f"{before}{begin}\n{table}\n\n{end}{after}", "utf-8")
