"""Files: .bin to .safetensors, and what is said about damaged, hostile and wrong ones."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import reference
from ifadapter_core import convert, storage
from ifadapter_core.checkpoint import CheckpointError, build_adapter, metadata_for, read_checkpoint


def release_bytes(legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(reference.make_release_checkpoint(4), buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def release_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("release") / "spd_adapter.bin"
    path.write_bytes(release_bytes())
    return path


@pytest.fixture(scope="module")
def converted_file(release_file: Path) -> Path:
    path = release_file.with_suffix(".safetensors")
    assert convert.main([str(release_file), str(path)]) == 0
    return path


def tokens_of(path: Path) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    phrase_embeds, eot_embeds = (
        torch.randn(2, 3, 9, 24, generator=generator),
        torch.randn(2, 24, generator=generator),
    )
    boxes = torch.tensor([[0.1, 0.2, 0.3, 0.9], [0.0, 0.0, 1.0, 1.0]])
    tokens = build_adapter(storage.load_weights(path)).encode_instances(
        phrase_embeds, torch.ones(2, 9), eot_embeds, boxes
    )
    return torch.cat([tokens.cond, tokens.uncond])


def refusal_of(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        storage.load_weights(path)
    return str(caught.value)


# Conversion


def test_converted_files_hold_the_same_tensors_and_give_the_same_tokens(
    release_file: Path, converted_file: Path
) -> None:
    before, after = storage.load_weights(release_file), storage.load_weights(converted_file)
    assert after.config == before.config
    assert after.tensors.keys() == before.tensors.keys()
    for name, tensor in before.tensors.items():
        assert after.tensors[name].dtype == tensor.dtype and after.tensors[name].equal(tensor), name
    assert tokens_of(converted_file).equal(tokens_of(release_file))


def test_the_converted_file_is_plain_safetensors_with_our_metadata(converted_file: Path) -> None:
    weights = storage.load_weights(converted_file)
    with safe_open(converted_file, framework="pt") as file:
        assert file.metadata() == metadata_for(weights.config)
        assert set(file.keys()) == weights.tensors.keys()


def test_a_converted_file_converts_again_without_a_change(converted_file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    assert convert.main([str(converted_file), str(again)]) == 0
    before, after = load_file(converted_file), load_file(again)
    assert after.keys() == before.keys()
    assert all(after[name].equal(tensor) for name, tensor in before.items())
    assert storage.load_weights(again).config == storage.load_weights(converted_file).config


def test_fp16_halves_the_size(release_file: Path, converted_file: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    assert convert.main([str(release_file), str(half), "--fp16"]) == 0
    before, after = load_file(converted_file), load_file(half)
    assert {tensor.dtype for tensor in after.values()} == {torch.float16}
    assert sum(tensor.nbytes for tensor in after.values()) * 2 == sum(
        tensor.nbytes for tensor in before.values()
    )
    assert half.stat().st_size < 0.55 * converted_file.stat().st_size
    for name, tensor in after.items():
        assert tensor.equal(before[name].half())
    assert storage.load_weights(half).config == storage.load_weights(converted_file).config


def test_tensors_that_are_views_are_written_as_they_are(tmp_path: Path) -> None:
    """A checkpoint may hold transposed weights, or several that share one storage."""
    data = reference.make_release_checkpoint(4)
    text, adapter = data["text_proj_model"], data["adapter_modules"]
    text["proj_in.weight"] = text["proj_in.weight"].T.contiguous().T
    adapter["49.q_norm.weight"], adapter["49.k_norm.weight"] = torch.randn(2, 16).unbind()
    adapter["121.q_norm.weight"] = adapter["121.k_norm.weight"]
    source, target = tmp_path / "views.bin", tmp_path / "views.safetensors"
    torch.save(data, source)
    assert convert.main([str(source), str(target)]) == 0
    assert tokens_of(target).equal(tokens_of(source))
    assert load_file(target)["projections.49.k_norm.weight"].equal(adapter["49.k_norm.weight"])


def test_save_and_load_keep_a_config_that_is_not_the_releases(tmp_path: Path) -> None:
    weights = read_checkpoint(reference.make_release_checkpoint(5, queries=2, depth=1, layers=((7, 16, 8),)))
    path = tmp_path / "small.safetensors"
    storage.save_weights(weights, path)
    again = storage.load_weights(path)
    assert again.config == weights.config
    assert all(again.tensors[name].equal(tensor) for name, tensor in weights.tensors.items())


def test_the_command_says_what_it_wrote(
    release_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.safetensors"
    assert convert.main([str(release_file), str(target)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{target}: 2 adapted layers, for a model with 24-wide text features\n"
    assert captured.err == ""


# Wrong arguments


def test_an_existing_target_is_kept(
    release_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "mine.safetensors"
    target.write_bytes(b"precious")
    with pytest.raises(SystemExit) as caught:
        convert.main([str(release_file), str(target)])
    assert caught.value.code == 2
    assert f"{target} exists already" in capsys.readouterr().err
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["out.bin", "out", "out.safetensors.bak", "out.pt"])
def test_a_target_of_another_kind_is_refused(
    release_file: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        convert.main([str(release_file), str(tmp_path / name)])
    assert caught.value.code == 2
    assert f"the target must end in .safetensors, got {name}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nowhere.bin", "nowhere.safetensors"):
        assert convert.main([str(tmp_path / name), str(tmp_path / "out.safetensors")]) == 1
        assert name in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_named(
    release_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "no such folder" / "out.safetensors"
    assert convert.main([str(release_file), str(target)]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_a_wrong_file_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "lora.safetensors", tmp_path / "out.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(1)}, source)
    assert convert.main([str(source), str(target)]) == 1
    assert "it seems to be a LoRA" in capsys.readouterr().err
    assert not target.exists()


def test_a_release_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    data = reference.make_release_checkpoint(4)
    del data["adapter_modules"]["49.alpha"]
    path = tmp_path / "cut.bin"
    torch.save(data, path)
    assert "1 missing: adapter_modules.49.alpha" in refusal_of(path)


# Damaged files


@pytest.mark.parametrize(
    "kept", [0, 1, 2, 3, 4, 30, 100, 2000, 8000, 10000, 20000, 0.25, 0.5, 0.75, 0.99, -1000, -100, -22, -1]
)
def test_a_truncated_bin_is_damaged(kept: float, tmp_path: Path) -> None:
    content = release_bytes()
    path = tmp_path / "cut.bin"
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert "cut.bin is damaged or incomplete" in refusal_of(path)


@pytest.mark.parametrize("kept", [0, 1, 10, 30, 100, 500, 2000, 0.25, 0.5, 0.99, -1])
def test_a_truncated_bin_of_the_older_torch_format_is_damaged(kept: float, tmp_path: Path) -> None:
    content = release_bytes(legacy=True)
    path = tmp_path / "cut.bin"
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert "cut.bin is damaged or incomplete" in refusal_of(path)


def test_the_older_torch_format_loads_when_whole(tmp_path: Path, release_file: Path) -> None:
    path = tmp_path / "older.bin"
    path.write_bytes(release_bytes(legacy=True))
    assert tokens_of(path).equal(tokens_of(release_file))


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, 1000, 0.25, 0.5, 0.75, 0.99, -1])
def test_a_truncated_safetensors_is_damaged(kept: float, tmp_path: Path, converted_file: Path) -> None:
    content = converted_file.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert "cut.safetensors is damaged or incomplete" in refusal_of(path)


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><html><body>Sign in to continue</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2083456789\n",
        b"Entry not found",
        b"\0" * 4096,
        bytes(range(256)) * 8,
    ],
    ids=["a web page", "a git-lfs pointer", "a line of text", "zeros", "all bytes"],
)
@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_what_a_failed_download_leaves_is_damaged(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"page{suffix}"
    path.write_bytes(content)
    assert f"page{suffix} is damaged or incomplete" in refusal_of(path)


def test_files_under_each_others_suffix_are_refused(
    release_file: Path, converted_file: Path, tmp_path: Path
) -> None:
    for source, name in ((release_file, "renamed.safetensors"), (converted_file, "renamed.bin")):
        path = tmp_path / name
        path.write_bytes(source.read_bytes())
        assert "run code" not in refusal_of(path)  # a wrong name is no attack


# Hostile files


class Intruder:
    """Pickles as a call that makes a folder."""

    def __init__(self, marker: Path, call: Callable[..., Any] = os.mkdir) -> None:
        self.marker = str(marker)
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, (
            self.marker if self.call is os.mkdir else f"__import__('os').mkdir({self.marker!r})",
        )


@pytest.mark.parametrize("call", [os.mkdir, eval], ids=["os", "eval"])
@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
@pytest.mark.parametrize("place", ["alone", "as a part", "beside the weights"])
def test_a_pickle_that_carries_code_is_refused_and_not_run(
    call: Callable[..., Any], form: str, place: str, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    intruder = Intruder(marker, call)
    content: Any = {
        "alone": intruder,
        "as a part": {"text_proj_model": intruder, "adapter_modules": {}, "pos_net": {}},
        "beside the weights": {**reference.make_release_checkpoint(4), "extra": intruder},
    }[place]
    path = tmp_path / "hostile.bin"
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    message = refusal_of(path)
    assert "hostile.bin is refused" in message
    assert "Nothing in it was run" in message
    assert not marker.exists()
    pickle.loads(pickle.dumps(intruder))  # it does what it says where pickles are trusted
    assert marker.exists()


def test_the_command_refuses_a_pickle_that_carries_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, marker, target = tmp_path / "hostile.bin", tmp_path / "marker", tmp_path / "out.safetensors"
    torch.save({"pos_net": Intruder(marker)}, path)
    assert convert.main([str(path), str(target)]) == 1
    assert "hostile.bin is refused" in capsys.readouterr().err
    assert not marker.exists()
    assert not target.exists()
