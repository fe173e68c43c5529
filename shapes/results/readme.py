"""The table of results inside another page, between two comment lines."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- results: written by make results -->", "<!-- end of results -->"


def update_readme(path: Path, table: str | None = None) -> None:
    """Replace what is between the comment lines; without a table, only check that they are there.

    Raises ValueError if they are not, OSError if the file cannot be read.
    """
    before, begin, rest = path.read_text("utf-8").partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not begin or not end:
        raise ValueError(f"{path} has no lines {BEGIN!r} and {END!r}. Put them where the table belongs.")
    if table is not None:
        path.write_text(f"{before}{begin}\n{table}\n\n{end}{after}", "utf-8")
