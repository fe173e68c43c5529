"""The rows of each shard, kept in files beside the shards until all of them are one index."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..check import check_share
from ..index import Index, Row, make_index, read_index

INDEX = "index.jsonl"
LEFT_OUT = "left_out.txt"
ROWS = ".rows"  # suffix of the file with the rows of a shard
KIND, PART = "shards", "shard"
BLOCK_BYTES = 1 << 20
NOWHERE = (0, 0, 0, 0)  # place of a sample that is in no shard


def shard_record(path: Path, sha256: str) -> dict[str, Any]:
    """What tells whether a shard is the same. path: of its file, which may still have another name."""
    found = path.stat()
    return {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": sha256}


def write_rows(shard: Path, record: dict[str, Any] | None, rows: Sequence[Row]) -> None:
    """Keep the rows of a shard. record: see ``shard_record``; None = all are bad, so there is no shard."""
    make_index({"kind": PART, "shard": record}, rows).write(_rows_file(shard))


def read_rows(shard: Path) -> Index | None:
    """The rows of a shard if it is finished and has not changed since; else None."""
    try:
        found = read_index(_rows_file(shard).read_bytes(), str(shard))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    record = found.head.get("shard")
    if found.head.get("kind") != PART or (record is not None) != shard.exists():
        return None
    return found if record is None or record == shard_record(shard, record["sha256"]) else None


def _rows_file(shard: Path) -> Path:
    return shard.with_name(shard.name + ROWS)


def merge(
    folder: Path, shards: Sequence[Path], plan: dict[str, Any] | None, max_bad: float
) -> tuple[Index, int]:
    """Write the index of finished shards, and remove the files of their rows.

    The samples that cannot be used are left out and listed in ``left_out.txt``.
    plan: what the shards were made of; None = other software made them.

    Returns the index and the number of samples that are left out.
    Raises ValueError if they are more than the fraction ``max_bad`` of all, or if there are no others.
    """
    parts = [(shard, read_rows(shard)) for shard in shards]
    records, rows, bad = list[dict[str, Any]](), list[Row](), list[Row]()
    for shard, part in parts:
        assert part is not None, shard
        for row in map(part.row, range(len(part))):
            found = rows if row.reason is None else bad
            found.append(row._replace(place=(len(records), *row.place[1:])))
        if record := part.head["shard"]:
            records.append({"name": shard.name, "bytes": record["bytes"], "sha256": record["sha256"]})
    check_share([str(row.reason) for row in bad], len(rows) + len(bad), max_bad, "--max-bad")
    if not rows:
        raise ValueError(f"There are no pictures in {folder}.")
    if len({row.name for row in rows}) < len(rows):  # each shard counts anew
        stems = [Path(record["name"]).stem for record in records]
        rows = [row._replace(name=f"{stems[row.place[0]]}/{row.name}") for row in rows]
    index = make_index({"kind": KIND, "shards": records, "plan": plan}, rows)
    lines = [f"{row.name}\t{row.reason}\n" for row in bad]
    if lines:
        (folder / LEFT_OUT).write_text("".join(lines), "utf-8")
    else:
        (folder / LEFT_OUT).unlink(missing_ok=True)
    index.write(folder / INDEX)
    for shard in shards:
        _rows_file(shard).unlink(missing_ok=True)
    return index, len(lines)


def sha256_of(path: Path) -> str:
    """Hash of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
