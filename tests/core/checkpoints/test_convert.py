"""The command that converts .bin to .safetensors, and saved files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import reference
from adapter_files import refusal_of, tokens_of
from ifadapter_core import convert, storage
from ifadapter_core.checkpoint import metadata_for, read_checkpoint


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
