"""Shards behind a URL: fetched once an epoch into a cache that processes share."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import shutil
import threading
from pathlib import Path

import pytest
import torch
from shard_files import COUNT, PER_SHARD, Server, assert_same_batches, opened

from training.cropping.crops import square_crops
from training.pictures.batches import PictureBatches
from training.pictures.folder import FolderSamples
from training.pictures.samples import Samples
from training.pictures.shards.cache import ShardCache
from training.pictures.shards.tars import DamagedShardError

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="webdataset reads http with curl")


def finish_fetches() -> None:
    """Wait for the shards that are fetched ahead."""
    for thread in threading.enumerate():
        if thread.name.endswith("(_fetch)"):
            thread.join(30)


@needs_curl
def test_a_url_gives_the_batches_of_the_disk_and_each_shard_is_fetched_once_an_epoch(
    shards: Path, server: Server, tmp_path: Path
) -> None:
    """Although the cache holds only six of eight shards."""
    sizes = sorted(path.stat().st_size for path in shards.glob("*.tar"))
    limit = (sum(sizes[-6:]) + 1) / 1e9
    remote = opened(server.url, tmp_path / "cache", shuffle=2, shard_cache_gb=limit)
    assert remote.fingerprint() == opened(shards, shuffle=2).fingerprint()
    assert server.counts == {"index.jsonl": 1}  # nothing else is fetched at the start
    sources = (remote, opened(shards, shuffle=2))
    first, second = (PictureBatches(square_crops(samples, 32, seed=5), 3, 5) for samples in sources)
    for number in range(20):
        if number == COUNT // 3:
            assert {name: count for name, count in server.counts.items() if name.endswith(".tar")} == {
                path.name: 1 for path in shards.glob("*.tar")
            }
        assert torch.equal(first[number].images, second[number].images), number
        assert first[number].layouts == second[number].layouts
    finish_fetches()
    assert sum(path.stat().st_size for path in (tmp_path / "cache").glob("*.tar")) <= limit * 1e9
    assert_same_batches(remote, opened(shards, shuffle=2))


def test_a_pipe_gives_the_batches_of_the_disk(shards: Path, tmp_path: Path) -> None:
    remote = opened(f"pipe:cat '{shards}/index.jsonl'", tmp_path / "cache")
    assert remote.where(0) == f"pipe:cat '{shards}/pictures-000000.tar'/00.jpg"
    assert_same_batches(remote, opened(shards, shuffle=4))  # the default of a URL


def test_all_pictures_of_a_url_can_be_shuffled_together(
    varied_pictures: Path, shards: Path, tmp_path: Path
) -> None:
    url = f"pipe:cat '{shards}/index.jsonl'"
    assert_same_batches(opened(url, tmp_path / "cache", shuffle=0), FolderSamples(varied_pictures), 20)
    with pytest.raises(
        ValueError, match=r"shard_cache_gb is 0\.0001, but 8 shards of pipe:.* have .* GB\. Raise it\."
    ):
        opened(url, tmp_path / "cache", shuffle=0, shard_cache_gb=0.0001)
    with pytest.raises(ValueError, match=r"but 6 shards of .*\. Raise it, or lower shuffle"):
        opened(url, tmp_path / "cache", shuffle=2, shard_cache_gb=0.0001)


@needs_curl
def test_the_next_shards_are_fetched_while_a_window_trains(server: Server, tmp_path: Path) -> None:
    samples = opened(server.url, tmp_path / "cache", shuffle=2)
    order = samples.order(0, 0).tolist()
    shards = list(dict.fromkeys(number // PER_SHARD for number in order))
    samples.picture(order[0])
    finish_fetches()
    fetched = {name for name in server.counts if name.endswith(".tar")}
    assert fetched == {f"pictures-{number:06d}.tar" for number in (shards[0], *shards[2:4])}


@needs_curl
@pytest.mark.parametrize("broken", [1, 2])
def test_a_fetch_is_tried_twice(server: Server, tmp_path: Path, broken: int) -> None:
    samples = opened(server.url, tmp_path / "cache")
    server.broken["pictures-000000.tar"] = broken
    if broken == 1:
        assert samples.picture(0).size == samples.size(0)
    else:
        url = server.url.replace("index.jsonl", "pictures-000000.tar")
        with pytest.raises(DamagedShardError, match=rf"The shard {url} has 5000 bytes in place of \d+, also"):
            samples.picture(0)
        assert not list((tmp_path / "cache").glob("*.part"))
    assert server.counts["pictures-000000.tar"] == 2
    assert samples.picture(0).size == samples.size(0)  # the cache keeps nothing damaged


@needs_curl
def test_a_url_that_answers_nothing_is_an_error_that_names_it(server: Server, tmp_path: Path) -> None:
    url = server.url.replace("index", "none/index")
    answer = r"\(its command ended with exit status 22: the server answers with an error, such as 404\)\.$"
    with pytest.raises(OSError, match=rf"^{url} cannot be read {answer}"):
        opened(url, tmp_path / "cache")
    with pytest.raises(ValueError, match=r"is no index of pictures"):
        opened(server.url.replace("index.jsonl", "pictures-000000.tar"), tmp_path / "cache")


def test_a_scheme_that_is_not_known_is_an_error_that_tells_of_pipe(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^s3://b/index\.jsonl cannot be read: .* no s3:\. .*pipe:aws s3 cp"
    ):
        opened("s3://b/index.jsonl", tmp_path / "cache")


def test_a_file_of_the_cache_that_is_damaged_or_gone_is_fetched_again(shards: Path, tmp_path: Path) -> None:
    samples = opened(f"pipe:cat '{shards}/index.jsonl'", tmp_path / "cache")
    before = samples.picture(0).tobytes()
    (path,) = (tmp_path / "cache").glob("*.tar")
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    assert samples.picture(0).tobytes() == before
    assert path.read_bytes() == content
    path.unlink()
    assert samples.picture(0).tobytes() == before


def test_the_least_recently_used_shards_go(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path / "cache", 250e-9)  # of 100 bytes each, so two
    files = []
    for number in range(3):
        (tmp_path / f"{number}").write_bytes(bytes([number]) * 100)
        files.append((f"pipe:cat {tmp_path / str(number)}", sha256(bytes([number]) * 100), 100))
    paths = [cache.fetch(*files[0]), cache.fetch(*files[1])]
    for age, path in enumerate(paths):
        os.utime(path, (1000 - age, 1000 - age))  # the first is the younger
    cache.fetch(*files[0])
    cache.fetch(*files[2])
    assert paths[0].exists()
    assert not paths[1].exists()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fetch_all(samples: Samples) -> None:
    for number in range(COUNT):
        samples.picture(number)


@needs_curl
@pytest.mark.slow
def test_processes_share_the_cache(server: Server, tmp_path: Path) -> None:
    samples = opened(server.url, tmp_path / "cache")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fetch_all, args=(samples,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert max(server.counts.values()) == 1
    assert len(server.counts) == 9


def test_remote_samples_can_be_pickled(shards: Path, tmp_path: Path) -> None:
    samples = opened(f"pipe:cat '{shards}/index.jsonl'", tmp_path / "cache")
    copied = pickle.loads(pickle.dumps(samples))
    assert copied.picture(9).tobytes() == samples.picture(9).tobytes()
    assert copied.order(1, 2).tolist() == samples.order(1, 2).tolist()
