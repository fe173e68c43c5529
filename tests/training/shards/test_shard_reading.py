"""Training on shards: the batches of their folder, from a disk or a URL."""

from __future__ import annotations

import functools
import hashlib
import http.server
import multiprocessing
import os
import pickle
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from picture_files import varied
from torch.utils.data import DataLoader

import training.__main__ as command
from training.config import FolderConfig
from training.pictures.batches import PictureBatches
from training.pictures.folder import FolderSamples
from training.pictures.held_out import HeldOutPictures, split
from training.pictures.samples import Samples, Subset
from training.pictures.shards.cache import ShardCache
from training.pictures.shards.sharded import shard_windows, windowed_order
from training.pictures.shards.tars import DamagedShardError
from training.pictures.sources import open_samples

COUNT, PER_SHARD = 30, 4
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="webdataset reads http with curl")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pictures"
    return varied(folder, [f"{'more/' * (number % 2)}{number:02}.jpg" for number in range(COUNT)])


@pytest.fixture(scope="module")
def made(pictures: Path) -> Path:
    out = pictures.with_name("shards")
    command.main(["shard", str(pictures), str(out), "--samples", str(PER_SHARD)])
    return out


@pytest.fixture
def shards(made: Path, tmp_path: Path) -> Path:
    """Eight shards, to be damaged."""
    return shutil.copytree(made, tmp_path / "shards")


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


@pytest.fixture
def server(shards: Path) -> Iterator[Server]:
    with Server(shards) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def settings(path: object, cache: Path | None = None, **more: Any) -> FolderConfig:
    return FolderConfig(str(path), 32, shard_cache=str(cache) if cache else None, **more)


def opened(path: object, cache: Path | None = None, **more: Any) -> Samples:
    return open_samples(str(path), settings(path, cache, **more))


def assert_same_batches(a: Samples, b: Samples, count: int = 100) -> None:
    first, second = (PictureBatches(samples, 32, 3, seed=5) for samples in (a, b))
    for number in range(count):
        assert torch.equal(first[number].images, second[number].images), number
        assert first[number].layouts == second[number].layouts


# From a disk


def test_shards_and_their_folder_give_the_same_first_100_batches(pictures: Path, shards: Path) -> None:
    assert_same_batches(FolderSamples(pictures), opened(shards))
    assert_same_batches(FolderSamples(pictures), opened(f"file://{shards}/index.jsonl"), 5)


@pytest.mark.parametrize("share", ["20%", None])
def test_the_same_pictures_are_held_out(pictures: Path, shards: Path, share: str | None) -> None:
    folder, tars = (split(settings(path, held_out=share)) for path in (pictures, shards))
    assert_same_batches(folder[0], tars[0], 10)
    if folder[1] is None or tars[1] is None:
        assert folder[1] is tars[1]
        return
    assert [folder[1].name(n) for n in range(6)] == [tars[1].name(n) for n in range(6)]
    a, b = (HeldOutPictures(samples[1], 32, 4) for samples in (folder, tars))
    assert torch.equal(a.batch(range(4)).images, b.batch(range(4)).images)
    assert a.samples.fingerprint() == b.samples.fingerprint()


def test_other_shards_or_a_folder_are_held_out(pictures: Path, shards: Path, tmp_path: Path) -> None:
    varied(tmp_path / "others", ["a.png", "b.png"])
    command.main(["shard", str(tmp_path / "others"), str(tmp_path / "other shards")])
    for held_out in (tmp_path / "others", tmp_path / "other shards"):
        trained, found = split(settings(shards, held_out=str(held_out)))
        assert found is not None
        assert (len(trained), [found.name(n) for n in range(2)]) == (COUNT, ["a.png", "b.png"])
    with pytest.raises(ValueError, match=r"30 of the pictures in folder\.held_out are trained on too"):
        split(settings(shards, held_out=str(shards)))
    with pytest.raises(ValueError, match=r"30 of the pictures in folder\.held_out are trained on too"):
        split(settings(shards, held_out=str(pictures)))


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_processes_give_the_same_batches(shards: Path, context: str) -> None:
    batches = PictureBatches(opened(shards, shuffle=2), 32, 3)
    loader = DataLoader(
        batches, batch_size=None, sampler=range(7, 17), num_workers=2, multiprocessing_context=context
    )
    for number, batch in zip(range(7, 17), loader, strict=True):
        assert torch.equal(batch.images, batches[number].images)
        assert batch.layouts == batches[number].layouts


def test_slots_are_checked(shards: Path) -> None:
    samples = open_samples(str(shards), settings(shards), slots=2)
    assert len(samples.bad) == COUNT // 3
    number, reason = next(iter(samples.bad.items()))
    assert reason == (
        f"{samples.where(number)} has 3 boxes, but the adapter has 2 slots. "
        "Remove boxes, or raise adapter.shape.slots."
    )


def test_the_check_decodes_all_pictures_of_shards(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["adapter", "--check", "--config", "sd15", f"output={tmp_path / 'run'}"]
    with pytest.raises(SystemExit) as stopped:
        command.main([*arguments, f"folder.path={shards}"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == "30 of 30 pictures can be used.\n"
    with pytest.raises(SystemExit) as stopped:
        command.main([*arguments, f"folder.path={shards}", "adapter.shape.slots=2"])
    assert stopped.value.code == 1
    assert capsys.readouterr().out.endswith("20 of 30 pictures can be used.\n")


@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "index"])
def test_a_damaged_shard_is_an_error_that_names_it(shards: Path, damage: str) -> None:
    path = shards / "pictures-000003.tar"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-512])
    elif damage == "changed":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        index = shards / "index.jsonl"
        index.write_bytes(index.read_bytes().replace(b"thing 0", b"thing 9"))
        with pytest.raises(ValueError, match=r"index\.jsonl is damaged"):
            opened(shards)
        return
    with pytest.raises(DamagedShardError, match=f"The shard {path} "):  # noqa: PT012
        samples = opened(shards)
        for number in range(COUNT):
            samples.picture(number)


def test_wrong_settings_are_refused(pictures: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"shuffle is 2, which is for shards; {pictures} has none"):
        split(settings(pictures, shuffle=2))
    assert split(settings(shards, shuffle=2, held_out=str(varied(tmp_path / "others", ["a.png"]))))[1]
    with pytest.raises(ValueError, match="shuffle is -1; expected at least 0"):
        opened(shards, shuffle=-1)
    with pytest.raises(ValueError, match="shard_cache_gb is 0; expected more than 0"):
        opened(shards, shard_cache_gb=0)
    (shards / "index.jsonl").unlink()
    with pytest.raises(ValueError, match=rf"python -m training shard --index {shards}"):
        opened(shards)


# The order


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 12), st.integers(0, 2**31))
@hypothesis_settings(max_examples=100, deadline=None)
def test_each_shard_is_read_once_in_an_order_with_few_shards_at_a_time(
    shards: list[int], window: int, seed: int
) -> None:
    places = torch.tensor(shards)
    generator = torch.Generator().manual_seed(seed)
    order = windowed_order(places, shard_windows(places, window, generator), generator)
    assert sorted(order.tolist()) == list(range(len(shards)))
    read = places[order].tolist()
    spans = {each: (read.index(each), len(read) - read[::-1].index(each)) for each in set(read)}
    for rank in range(len(read)):
        assert sum(first <= rank < last for first, last in spans.values()) <= window


def test_the_window_shuffles_shards_and_pictures_anew_in_each_epoch(shards: Path) -> None:
    samples = opened(shards, shuffle=2)
    orders = [tuple(samples.order(0, epoch).tolist()) for epoch in range(4)]
    assert len(set(orders)) == 4
    firsts = {frozenset(number // PER_SHARD for number in order[:6]) for order in orders}
    assert len(firsts) > 1
    assert tuple(opened(shards, shuffle=2).order(0, 2).tolist()) == orders[2]
    chosen = Subset(samples, range(0, COUNT, 2))
    assert sorted(chosen.order(0, 0).tolist()) == list(range(COUNT // 2))
    read = [int(chosen.indices[number]) // PER_SHARD for number in chosen.order(0, 0)]
    assert len(set(read[:4])) <= 2


def test_the_fingerprint_tells_the_order(pictures: Path, shards: Path) -> None:
    prints = [opened(shards, shuffle=window).fingerprint() for window in (0, 2, 3)]
    assert len(set(prints)) == 3
    assert FolderSamples(pictures).fingerprint() == prints[0]
    assert Subset(opened(shards, shuffle=2), range(9)).fingerprint() != (
        Subset(opened(shards), range(9)).fingerprint()
    )


# From a URL


@needs_curl
def test_a_url_gives_the_batches_of_the_disk_and_each_shard_is_fetched_once_an_epoch(
    shards: Path, server: Server, tmp_path: Path
) -> None:
    """Although the cache holds only six of eight shards."""
    sizes = sorted(path.stat().st_size for path in shards.glob("*.tar"))
    limit = sum(sizes[-6:]) / 1e9
    remote = opened(server.url, tmp_path / "cache", shuffle=2, shard_cache_gb=limit)
    assert remote.fingerprint() == opened(shards, shuffle=2).fingerprint()
    assert server.counts == {"index.jsonl": 1}  # nothing else is fetched at the start
    first, second = (PictureBatches(samples, 32, 3, 5) for samples in (remote, opened(shards, shuffle=2)))
    for number in range(20):
        if number == COUNT // 3:
            assert {name: count for name, count in server.counts.items() if name.endswith(".tar")} == {
                path.name: 1 for path in shards.glob("*.tar")
            }
        assert torch.equal(first[number].images, second[number].images), number
        assert first[number].layouts == second[number].layouts
        kept = [path.stat().st_size for path in (tmp_path / "cache").glob("*.tar")]
        assert sum(kept) <= limit * 1e9
    assert_same_batches(remote, opened(shards, shuffle=2))


def test_a_pipe_gives_the_batches_of_the_disk(shards: Path, tmp_path: Path) -> None:
    remote = opened(f"pipe:cat '{shards}/index.jsonl'", tmp_path / "cache")
    assert remote.where(0) == f"pipe:cat '{shards}/pictures-000000.tar'/00.jpg"
    assert_same_batches(remote, opened(shards, shuffle=4))  # the default of a URL


def test_all_pictures_of_a_url_can_be_shuffled_together(pictures: Path, shards: Path, tmp_path: Path) -> None:
    url = f"pipe:cat '{shards}/index.jsonl'"
    assert_same_batches(opened(url, tmp_path / "cache", shuffle=0), FolderSamples(pictures), 20)
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
    for thread in threading.enumerate():
        if thread.name.endswith("(_fetch)"):
            thread.join(30)
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
    with pytest.raises(OSError, match=rf"{url} cannot be read"):
        opened(url, tmp_path / "cache")
    with pytest.raises(ValueError, match=r"is no index of pictures"):
        opened(server.url.replace("index.jsonl", "pictures-000000.tar"), tmp_path / "cache")


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
