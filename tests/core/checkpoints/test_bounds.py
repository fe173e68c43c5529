"""Hostile adapter files: sizes without bound, and tensors that claim numbers which are not there."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from adapter_files import refusal_of, release_bytes
from checkpoint_data import message_of, release
from ifadapter_core import checkpoint, convert
from ifadapter_core.config import RELEASE_SETTINGS, LayerConfig, PositionConfig, ResamplerConfig

MAX_MESSAGE = 2000  # characters


@pytest.fixture
def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is refused before an adapter is built."""

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("an adapter was built")

    monkeypatch.setattr(checkpoint, "IFAdapter", refuse)


def metadata(**settings: Any) -> dict[str, str]:
    """Metadata of our format with other settings."""
    text = json.dumps({**asdict(RELEASE_SETTINGS), **settings})
    return {"format": "ifadapter", "format_version": "1", "settings": text}


CLAIMS: dict[str, Callable[[Tensor], Tensor]] = {
    "repeated": lambda tensor: torch.zeros(1).expand(tensor.shape),
    "repeated to 10^12": lambda _tensor: torch.zeros(1).expand(1, 10**12, 32),
    "sparse": lambda tensor: tensor.to_sparse(),
    "without data": lambda tensor: tensor.to("meta"),
}


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("text_proj_model", "latents"),
        ("text_proj_model", "norm_out.weight"),
        ("adapter_modules", "49.to_k_ap.weight"),
        ("pos_net", "linears_position.2.weight"),
    ],
)
def test_tensors_without_all_their_numbers(part: str, key: str, claim: str, tmp_path: Path) -> None:
    data = release()
    data[part][key] = CLAIMS[claim](data[part][key])
    torch.save(data, tmp_path / "hostile.bin")
    for message in (message_of(data), refusal_of(tmp_path / "hostile.bin")):
        assert f"1 not stored as plain numbers (sparse, repeated or without data): {part}.{key}" in message


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    ("part", "key", "shape", "expected"),
    [
        (
            "text_proj_model",
            "latents",
            (1, 257, 32),
            "appearance queries is 257; expected a whole number in 1..256",
        ),
        (
            "text_proj_model",
            "proj_in.weight",
            (16_385, 24),
            "width is 16385; expected a whole number in 1..16384",
        ),
        ("text_proj_model", "proj_in.weight", (32, 16_385), "text_width is 16385"),
        ("text_proj_model", "proj_out.weight", (16_385, 32), "token_width is 16385"),
        ("text_proj_model", "layers.0.0.to_q.weight", (16_400, 32), "resampler's attention is 16400"),
        ("text_proj_model", "layers.0.0.q_norm.weight", (16_385,), "head_dim is 16385"),
        ("text_proj_model", "layers.0.1.gate_proj.weight", (16_385, 32), "mlp_width is 16385"),
        ("pos_net", "linears_position.0.weight", (16_385, 8), "hidden_width is 16385"),
        ("pos_net", "linears_position.0.weight", (48, 16_392), "position features is 16392"),
        ("adapter_modules", "49.to_k_ap.weight", (16_400, 24), "width of layer 49 is 16400"),
        ("adapter_modules", "49.to_k_ap.weight", (32, 16_385), "token_width of layer 49 is 16385"),
        ("adapter_modules", "49.q_norm.weight", (16_385,), "head_dim of layer 49 is 16385"),
        ("adapter_modules", "49.cbam.cam.linear.0.weight", (16_385, 32), "gate_width of layer 49 is 16385"),
    ],
)
def test_sizes_out_of_bounds(part: str, key: str, shape: tuple[int, ...], expected: str) -> None:
    data = release()
    data[part][key] = torch.zeros(shape)
    message = message_of(data)
    assert "This IFAdapter file is refused" in message
    assert expected in message


@pytest.mark.usefixtures("nothing_is_built")
def test_many_resampler_layers() -> None:
    data = release()
    text = data["text_proj_model"]
    text |= {f"layers.{number}.0.to_q.weight": text["proj_in.bias"] for number in range(4, 301)}
    assert "the number of resampler layers is 301; expected a whole number in 1..300" in message_of(data)


@pytest.mark.usefixtures("nothing_is_built")
def test_many_adapted_layers_that_share_their_tensors() -> None:
    data = release()
    layers = data["adapter_modules"]
    for key in [key for key in layers if key.startswith("49.")]:
        layers |= {f"{number}.{key[3:]}": layers[key] for number in range(200, 20_200)}
    assert "the number of adapted layers is 20002; expected a whole number in 1..300" in message_of(data)


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    ("kernel", "expected"),
    [(6, "is 6 cells wide; expected an odd"), (33, "is 33; expected a whole number in 1..31")],
)
def test_gate_kernels(kernel: int, expected: str) -> None:
    data = release()
    data["adapter_modules"]["121.cbam.sam.conv.weight"] = torch.zeros(1, 2, kernel, kernel)
    assert f"the gate's kernel of layer 121 {expected}" in message_of(data).replace("The", "the")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"slots": 1001}, "slots is 1001; expected a whole number in 1..1000"),
        ({"slots": 300_000}, "slots is 300000"),
        ({"slots": 10**4000}, "slots is 1000"),
        ({"text_depths": [-101]}, "text_depths is (-101,)"),
        ({"text_depths": list(range(-1, -102, -1))}, "text_depths is (-1, -2, -3, -4, -5, -6, ...)"),
        ({"text_depths": list(range(-2_000_000, 0))}, "expected at most 10000"),
        ({"text_depths": "x" * 9000}, "text_depths is ('x', 'x', 'x', 'x', 'x', 'x', ...)"),
        ({"fusion_order": "y" * 9000}, "fusion_order is 'yyy"),
        ({"fusion_order": [["z" * 100] * 50]}, "fusion_order is [['zzz"),
        ({"cumulative_mask": list(range(1000))}, "cumulative_mask is [0, 1, 2, 3, 4, 5, ...]"),
        ({"w" * 9000: 1}, "www"),
    ],
)
def test_settings_out_of_bounds(settings: dict[str, Any], expected: str, tmp_path: Path) -> None:
    hostile = metadata(**settings)
    save_file({"layers.0.alpha": torch.zeros(())}, tmp_path / "hostile.safetensors", hostile)
    for message in (message_of({}, hostile), refusal_of(tmp_path / "hostile.safetensors")):
        assert "settings cannot be read" in message
        assert expected in message
        assert len(message) < MAX_MESSAGE


def test_format_version_without_bound() -> None:
    message = message_of({}, {**metadata(), "format_version": "9" * 10**6})
    assert "format version 999" in message
    assert len(message) < MAX_MESSAGE


@pytest.mark.parametrize("wrong", ["missing", "unknown file"])
def test_long_keys_are_abbreviated(wrong: str) -> None:
    data: dict[str, Any] = {f"{'k' * 10**6}\x1b[2J{number}": torch.zeros(1) for number in range(20)}
    if wrong == "missing":
        data["pos_net"] = {}
    message = message_of(data)
    assert len(message) < MAX_MESSAGE + 8 * 200
    assert "\x1b" not in message


def test_config_values_have_the_same_bounds() -> None:
    """Whatever makes a config: a file, the trainer, code."""
    resampler = ResamplerConfig(768, 64, 768, 4, 2, 4, 16, 256)
    layer = LayerConfig(49, 8, 40, 768, 20, 7)
    position = PositionConfig(64, 768, 768)
    for config, changes in (
        (resampler, {"queries": 0, "layers": 301, "width": 2.5, "mlp_width": 10**12, "heads": 2000}),
        (layer, {"heads": 0, "gate_kernel": 4, "gate_width": 16_385, "token_width": -1}),
        (position, {"frequencies": 2049, "hidden_width": True, "token_width": 16_385}),
        (RELEASE_SETTINGS, {"slots": 1001, "text_depths": (-101,)}),
    ):
        for name, value in changes.items():
            with pytest.raises(ValueError, match="expected"):
                replace(config, **{name: value})


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """A torch file of some kB that unpacks to 64 MB."""
    data = release()
    data["text_proj_model"]["extra"] = torch.zeros(16 * 2**20)
    whole, packed = tmp_path / "whole.bin", tmp_path / "bomb.bin"
    torch.save(data, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    whole.unlink()
    return packed


def test_zip_bomb_is_refused_before_it_is_unpacked(bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(torch, "load", unpack)
    message = refusal_of(bomb)
    assert "bomb.bin: It is refused" in message
    assert f"its {bomb.stat().st_size} bytes unpack to 6" in message


def test_zip_bomb_is_not_converted(bomb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = bomb.with_suffix(".safetensors")
    assert convert.main([str(bomb), str(target)]) == 1
    assert "bomb.bin: It is refused" in capsys.readouterr().err
    assert list(bomb.parent.iterdir()) == [bomb]


def test_entries_that_overlap_in_the_archive(tmp_path: Path) -> None:
    """A zip bomb without compression: many entries of the directory point to the same bytes."""
    path = tmp_path / "overlap.bin"
    path.write_bytes(release_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        for number in range(2000):
            entry = zipfile.ZipInfo(f"archive/data/{10_000 + number}")
            entry.file_size = entry.compress_size = largest.file_size
            entry.header_offset, entry.CRC = largest.header_offset, largest.CRC
            archive.filelist.append(entry)
        archive._didModify = True
    assert "overlap.bin: It is refused" in refusal_of(path)


class Allocation:
    """Unpickling it fills 4 GB of memory."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (4 * 10**9,)


@pytest.mark.parametrize("in_zip", [True, False])
def test_pickle_that_asks_for_memory(in_zip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "memory.bin"
    torch.save({**release(), "extra": Allocation()}, path, _use_new_zipfile_serialization=in_zip)
    monkeypatch.setattr(torch, "load", None)
    assert "memory.bin: It is refused: it asks for memory" in refusal_of(path)
