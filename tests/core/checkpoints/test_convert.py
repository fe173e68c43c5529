"""The command that converts .bin to .safetensors, and saved files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import reference
from adapter_files import refusal_of, tokens_of
from ifadapter_core import convert, storage
from ifadapter_core.checkpoint import metadata_for, read_checkpoint

ROOT = Path(__file__).resolve().parents[3]


def test_converted_file_has_the_same_tensors_and_tokens(release_file: Path, converted_file: Path) -> None:
    before, after = storage.load_weights(release_file), storage.load_weights(converted_file)
    assert after.config == before.config
    assert after.tensors.keys() == before.tensors.keys()
    for name, tensor in before.tensors.items():
        assert after.tensors[name].dtype == tensor.dtype, name
        assert after.tensors[name].equal(tensor), name
    assert tokens_of(converted_file).equal(tokens_of(release_file))


def test_converted_file_is_safetensors_with_metadata(converted_file: Path) -> None:
    weights = storage.load_weights(converted_file)
    with safe_open(converted_file, framework="pt") as file:
        assert file.metadata() == metadata_for(weights.config)
        assert set(file.keys()) == weights.tensors.keys()


def test_converting_a_converted_file_changes_nothing(converted_file: Path, tmp_path: Path) -> None:
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


def test_transposed_and_shared_tensors_are_written(tmp_path: Path) -> None:
    """Checkpoints may contain transposed tensors, and tensors that share storage."""
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


def test_save_and_load_keep_other_sizes(tmp_path: Path) -> None:
    weights = read_checkpoint(reference.make_release_checkpoint(5, queries=2, depth=1, layers=((7, 16, 8),)))
    path = tmp_path / "small.safetensors"
    storage.save_weights(weights, path)
    again = storage.load_weights(path)
    assert again.config == weights.config
    assert all(again.tensors[name].equal(tensor) for name, tensor in weights.tensors.items())


def test_command_prints_a_summary(
    release_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.safetensors"
    assert convert.main([str(release_file), str(target)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{target}: 2 adapted layers, for a model with 24-wide text features\n"
    assert captured.err == ""


def test_existing_target_is_not_overwritten(
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
def test_target_with_another_suffix_is_rejected(
    release_file: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        convert.main([str(release_file), str(tmp_path / name)])
    assert caught.value.code == 2
    assert f"the target must end in .safetensors, got {name}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_error_names_a_missing_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nowhere.bin", "nowhere.safetensors"):
        assert convert.main([str(tmp_path / name), str(tmp_path / "out.safetensors")]) == 1
        assert name in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_error_names_an_unwritable_target(
    release_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "no such folder" / "out.safetensors"
    assert convert.main([str(release_file), str(target)]) == 1
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_full_disk_leaves_no_half_file_and_the_retry_works(
    release_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit on the size of files stands for the disk."""
    import resource

    target = tmp_path / "out.safetensors"
    command = [str(release_file), str(target)]
    _, most = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (release_file.stat().st_size // 2, most))
    try:
        assert convert.main(command) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"{target} cannot be written: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert convert.main(command) == 0
    assert list(tmp_path.iterdir()) == [target]
    assert tokens_of(target).equal(tokens_of(release_file))


def test_other_files_are_left_alone(release_file: Path, tmp_path: Path) -> None:
    target, download = tmp_path / "out.safetensors", tmp_path / "out.safetensors.part"
    download.write_bytes(b"half a file")
    assert convert.main([str(release_file), str(target)]) == 0
    assert sorted(tmp_path.iterdir()) == [target, download]
    assert download.read_bytes() == b"half a file"


def test_save_replaces_a_file_only_when_the_new_one_is_whole(
    release_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "adapter.safetensors"
    weights = storage.load_weights(release_file)
    storage.save_weights(weights, target)
    before = target.read_bytes()

    def interrupted(_tensors: object, path: str, _metadata: object) -> None:
        Path(path).write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.save_weights(weights, target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_weights_beyond_float16_are_not_made_infinite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = reference.make_release_checkpoint(4)
    data["adapter_modules"]["49.conv.bias"] = torch.tensor([70_000.0])
    source, target = tmp_path / "large.bin", tmp_path / "large.safetensors"
    torch.save(data, source)
    assert convert.main([str(source), str(target), "--fp16"]) == 1
    told = capsys.readouterr().err
    for part in ("float16", "layers.49.fusion.importance.bias", "without --fp16"):
        assert part in told
    assert not target.exists()
    assert convert.main([str(source), str(target)]) == 0


def test_weights_that_are_not_finite_are_not_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = reference.make_release_checkpoint(4)
    data["adapter_modules"]["49.alpha"] = torch.tensor(torch.nan)
    torch.save(data, tmp_path / "black.bin")
    assert convert.main([str(tmp_path / "black.bin"), str(tmp_path / "black.safetensors")]) == 1
    assert "NaN or infinite weights" in capsys.readouterr().err
    assert not (tmp_path / "black.safetensors").exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_too_little_memory_is_named(
    error: Exception,
    release_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    command = [str(release_file), str(tmp_path / "out.safetensors")]
    for name in ("load", "clone"):
        with monkeypatch.context() as patch:
            patch.setattr(torch if name == "load" else torch.Tensor, name, fail)
            assert convert.main(command) == 1
        assert "memory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_command_warns_of_leftovers(tmp_path: Path) -> None:
    data = reference.make_release_checkpoint(4)
    data["adapter_modules"]["49.gamma"] = torch.zeros(1)
    torch.save({**data, "epoch": 3}, tmp_path / "left.bin")
    command = [sys.executable, "-m", "ifadapter_core.convert", "left.bin", "out.safetensors"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("out.safetensors: 2 adapted layers")
    (warning,) = run.stderr.splitlines()
    assert "left.bin" in warning
    assert "ignored: adapter_modules.49.gamma, epoch" in warning


def test_wrong_file_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "lora.safetensors", tmp_path / "out.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(1)}, source)
    assert convert.main([str(source), str(target)]) == 1
    assert "it seems to be a LoRA" in capsys.readouterr().err
    assert not target.exists()


def test_incomplete_release_checkpoint_is_rejected(tmp_path: Path) -> None:
    data = reference.make_release_checkpoint(4)
    del data["adapter_modules"]["49.alpha"]
    path = tmp_path / "cut.bin"
    torch.save(data, path)
    assert "1 missing: adapter_modules.49.alpha" in refusal_of(path)


def test_a_name_that_is_too_long_is_an_error(
    release_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, target in (
        (release_file, tmp_path / f"{'a' * 300}.safetensors"),
        (tmp_path / ("a" * 300), tmp_path / "out.safetensors"),
    ):
        assert convert.main([str(source), str(target)]) == 1
        assert "too long" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_terminated_command_leaves_no_part_behind(release_file: Path, tmp_path: Path) -> None:
    """The command is told to end while it writes: the writer stops in the middle."""
    code = f"""
import os, runpy, signal, sys
from pathlib import Path
import ifadapter_core.storage as storage

def stopped(_tensors, path, _metadata):
    Path(path).write_bytes(b"half a file")
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()

storage.save_file = stopped
sys.argv = ["convert", {str(release_file)!r}, {str(tmp_path / "out.safetensors")!r}]
runpy.run_module("ifadapter_core.convert", run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert ended.returncode == 143
    assert list(tmp_path.iterdir()) == []
