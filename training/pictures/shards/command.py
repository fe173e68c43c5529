"""``python -m training shard``: writes a folder of pictures as shards, or indexes shards."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ifadapter_diffusers.pictures import THREADS

from ...value_checks import above, at_least, fraction
from ..folder import FolderSamples
from ..index import Index
from .indexer import index_shards
from .parts import LEFT_OUT
from .writer import MEGABYTE, write_shards

SIZE_MB = 512.0
MAX_BAD = 0.1


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training shard",
        description="Write a folder of pictures with layouts as shards: tar files of webdataset, and their "
        "index. The same command goes on after a stop.",
    )
    parser.add_argument("folder", type=Path, nargs="?", help="pictures, each with a JSON file beside it")
    parser.add_argument("output", type=Path, nargs="?", help="folder for the shards")
    parser.add_argument(
        "--index", type=Path, metavar="SHARDS", help="write only the index of the tar files in a folder"
    )
    parser.add_argument(
        "--size-mb", type=float, default=SIZE_MB, help=f"most megabytes of a shard (default {SIZE_MB:g})"
    )
    parser.add_argument("--samples", type=int, help="most pictures of a shard (default: any number)")
    parser.add_argument(
        "--max-bad",
        type=float,
        default=MAX_BAD,
        help=f"fraction of the pictures that may be left out (default {MAX_BAD:g})",
    )
    parser.add_argument(
        "--threads", type=int, default=THREADS, help=f"that read and decode (default {THREADS})"
    )
    options = parser.parse_args(arguments)
    if options.index is None and options.output is None:
        parser.error("give a folder of pictures and an output, or --index and a folder of shards")
    if options.index is not None and options.folder is not None:
        parser.error("--index takes no other folder")
    try:
        at_least(options, 1, "threads", *(("samples",) if options.samples is not None else ()))
        above(options, 0, "size_mb")
        fraction(options, "max_bad", one=False)
        if options.index is not None:
            index, left_out = index_shards(options.index, options.max_bad, options.threads)
        else:
            index, left_out = _write(options)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Stopped. The same command goes on.\n")
    sys.stdout.write(summary(index, left_out, options.index or options.output))


def _write(options: argparse.Namespace) -> tuple[Index, int]:
    if options.output.resolve() == options.folder.resolve():
        raise ValueError(f"The output is the folder of the pictures, {options.folder}. Choose another one.")
    source = FolderSamples(options.folder, spare=options.output)
    return write_shards(
        source, options.output, options.size_mb, options.samples, options.max_bad, options.threads
    )


def summary(index: Index, left_out: int, folder: Path) -> str:
    """A line with the numbers of pictures and shards."""
    shards = index.head["shards"]
    size = sum(shard["bytes"] for shard in shards) / MEGABYTE
    more = f" {left_out} pictures are left out: see {folder / LEFT_OUT}." if left_out else ""
    return f"{len(index)} pictures in {len(shards)} shards, {size:,.1f} MB, in {folder}.{more}\n"
