"""Training on shards: the batches of their folder, held-out pictures, damage, order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from picture_files import varied
from shard_files import COUNT, PER_SHARD, assert_same_batches, opened, settings
from torch.utils.data import DataLoader

import training.__main__ as command
from training.cropping.crops import square_crops
from training.pictures.batches import PictureBatches
from training.pictures.folder import FolderSamples
from training.pictures.held_out import HeldOutPictures, split
from training.pictures.samples import Subset
from training.pictures.shards.sharded import shard_windows, windowed_order
from training.pictures.shards.tars import DamagedShardError
from training.pictures.sources import open_samples


def test_shards_and_their_folder_give_the_same_first_100_batches(varied_pictures: Path, shards: Path) -> None:
    assert_same_batches(FolderSamples(varied_pictures), opened(shards))
    assert_same_batches(FolderSamples(varied_pictures), opened(f"file://{shards}/index.jsonl"), 5)
    assert_same_batches(FolderSamples(varied_pictures), opened(shards), 10, buckets=True)


@pytest.mark.parametrize("share", ["20%", None])
def test_the_same_pictures_are_held_out(varied_pictures: Path, shards: Path, share: str | None) -> None:
    folder, tars = (split(settings(path, held_out=share)) for path in (varied_pictures, shards))
    assert_same_batches(folder[0], tars[0], 10)
    if folder[1] is None or tars[1] is None:
        assert folder[1] is tars[1]
        return
    assert [folder[1].name(n) for n in range(6)] == [tars[1].name(n) for n in range(6)]
    a, b = (HeldOutPictures(samples[1], 32, 4) for samples in (folder, tars))
    assert torch.equal(a.batch(range(4)).images, b.batch(range(4)).images)
    assert a.samples.fingerprint() == b.samples.fingerprint()


def test_other_shards_or_a_folder_are_held_out(varied_pictures: Path, shards: Path, tmp_path: Path) -> None:
    varied(tmp_path / "others", ["a.png", "b.png"])
    command.main(["shard", str(tmp_path / "others"), str(tmp_path / "other shards")])
    for held_out in (tmp_path / "others", tmp_path / "other shards"):
        trained, found = split(settings(shards, held_out=str(held_out)))
        assert found is not None
        assert (len(trained), [found.name(n) for n in range(2)]) == (COUNT, ["a.png", "b.png"])
    with pytest.raises(ValueError, match=r"30 of the pictures in folder\.held_out are trained on too"):
        split(settings(shards, held_out=str(shards)))
    with pytest.raises(ValueError, match=r"30 of the pictures in folder\.held_out are trained on too"):
        split(settings(shards, held_out=str(varied_pictures)))


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_processes_give_the_same_batches(shards: Path, context: str) -> None:
    batches = PictureBatches(square_crops(opened(shards, shuffle=2), 32), 3)
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
        with pytest.raises(
            ValueError, match=r"index\.jsonl is damaged.* Give what python -m training shard wrote"
        ):
            opened(shards)
        return
    with pytest.raises(DamagedShardError, match=f"The shard {path} .*\\. Copy"):  # noqa: PT012
        samples = opened(shards)
        for number in range(COUNT):
            samples.picture(number)


def test_wrong_settings_are_refused(varied_pictures: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"shuffle is 2, which is for shards; {varied_pictures} has none"):
        split(settings(varied_pictures, shuffle=2))
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


def test_the_fingerprint_tells_the_order(varied_pictures: Path, shards: Path) -> None:
    prints = [opened(shards, shuffle=window).fingerprint() for window in (0, 2, 3)]
    assert len(set(prints)) == 3
    assert FolderSamples(varied_pictures).fingerprint() == prints[0]
    assert Subset(opened(shards, shuffle=2), range(9)).fingerprint() != (
        Subset(opened(shards), range(9)).fingerprint()
    )
