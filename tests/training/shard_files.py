"""Shards made by the command, for the tests of several files."""

from __future__ import annotations

import functools
import http.server
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import training.__main__ as command
from training.config import FolderConfig
from training.cropping.crops import bucketed_crops, square_crops
from training.pictures.batches import PictureBatches
from training.pictures.samples import Samples
from training.pictures.sources import open_samples

COUNT, PER_SHARD = 30, 4


def shard(*arguments: object, status: int = 0) -> None:
    if not status:
        command.main(["shard", *map(str, arguments)])
        return
    with pytest.raises(SystemExit) as stopped:
        command.main(["shard", *map(str, arguments)])
    assert stopped.value.code == status


def settings(path: object, cache: Path | None = None, **more: Any) -> FolderConfig:
    return FolderConfig(str(path), 32, shard_cache=str(cache) if cache else None, **more)


def opened(path: object, cache: Path | None = None, **more: Any) -> Samples:
    return open_samples(str(path), settings(path, cache, **more))


def contents(folder: Path) -> dict[str, bytes]:
    """The files of an output, but for locks."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def assert_same_batches(a: Samples, b: Samples, count: int = 100, buckets: bool = False) -> None:
    """buckets: of pictures of several shapes, with two fixed crops each; else of random squares."""
    first, second = (
        PictureBatches(
            bucketed_crops(samples, 256, 3, 2, 5) if buckets else square_crops(samples, 32, seed=5), 3, 5
        )
        for samples in (a, b)
    )
    for number in range(count):
        assert torch.equal(first[number].images, second[number].images), number
        assert first[number].layouts == second[number].layouts


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder and counts what is asked for. broken: names whose first answers are cut."""

    def __init__(self, folder: Path) -> None:
        server, self.counts, self.broken = self, Counter[str](), Counter[str]()

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                server.counts[name] += 1
                if server.broken[name] > 0:
                    server.broken[name] -= 1
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write((folder / name).read_bytes()[:5000])
                    return
                super().do_GET()

            def log_message(self, *given: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/index.jsonl"
