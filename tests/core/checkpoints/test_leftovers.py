"""Release files as people have them: with leftovers, from DDP, of a follow-up, with NaN in them."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from adapter_files import refusal_of
from checkpoint_data import flatten, message_of, release
from ifadapter_core import storage
from ifadapter_core.checkpoint import AdapterWeights, metadata_for, read_checkpoint

LEFTOVERS: dict[str, Any] = {
    "epoch": 7,
    "optimizer": {"state": {0: torch.zeros(2)}, "param_groups": []},
    "ema": None,
    "note": torch.zeros(3, dtype=torch.int64),
    "sparse": torch.zeros(3).to_sparse(),
    "empty": torch.zeros(3, device="meta"),
}


def with_leftovers() -> dict[str, Any]:
    data = release()
    data["adapter_modules"]["121.gamma"] = torch.zeros(1)
    data["adapter_modules"]["48.to_k_ip.weight"] = torch.zeros(2, 2)  # of a layer that is not adapted
    data["text_proj_model"]["position_ids"] = torch.zeros(4, dtype=torch.int64)
    data["pos_net"]["linears_position.6.weight"] = torch.full((1,), torch.nan)
    return {**data, **LEFTOVERS}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_leftovers_are_ignored_and_listed() -> None:
    weights, clean = read_checkpoint(with_leftovers()), read_checkpoint(release())
    assert weights.config == clean.config
    assert all(weights.tensors[name].equal(tensor) for name, tensor in clean.tensors.items())
    assert set(weights.ignored) == {
        "adapter_modules.121.gamma",
        "adapter_modules.48.to_k_ip.weight",
        "text_proj_model.position_ids",
        "pos_net.linears_position.6.weight",
        *LEFTOVERS,
    }
    assert clean.ignored == ()


def test_own_files_have_no_leftovers() -> None:
    """This project's programs write them, and nothing else into them."""
    weights = read_checkpoint(release())
    tensors = {**weights.tensors, "layers.49.beta": torch.zeros(())}
    assert "1 unexpected: layers.49.beta" in message_of(tensors, metadata_for(weights.config))


def test_one_warning_names_the_file_and_its_leftovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(with_leftovers(), tmp_path / "left.bin")
    storage.load_weights(tmp_path / "left.bin")
    (warning,) = warnings_of(caplog)
    for part in ("left.bin", "ignored", "adapter_modules.121.gamma", "pos_net.linears_position.6.weight"):
        assert part in warning


def test_file_without_leftovers_gives_no_warning(
    release_file: Path, converted_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (release_file, converted_file):
        storage.load_weights(path)
    assert not warnings_of(caplog)


def test_warning_abbreviates_many_and_long_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data: dict[str, Any] = {**release(), "\x1b[2J" + "k" * 10**6: 0}
    data |= {f"extra_{number:05}": 0 for number in range(20_000)}
    torch.save(data, tmp_path / "many.bin")
    storage.load_weights(tmp_path / "many.bin")
    (warning,) = warnings_of(caplog)
    assert "and 19993 more" in warning
    assert len(warning) < 1000
    assert "\x1b" not in warning


def test_missing_keys_are_an_error_that_lists_the_unexpected_ones() -> None:
    """A renamed key is both."""
    data = with_leftovers()
    data["adapter_modules"]["121.alpha_"] = data["adapter_modules"].pop("121.alpha")
    message = message_of(data)
    assert "1 missing: adapter_modules.121.alpha" in message
    assert re.search(r"unexpected: [^;]*adapter_modules\.121\.alpha_", message)


@pytest.mark.parametrize("parts", [("text_proj_model", "adapter_modules", "pos_net"), ("adapter_modules",)])
@pytest.mark.parametrize("prefix", ["module.", "module.module.", "_orig_mod.", "module._orig_mod."])
def test_ddp_prefixes_are_seen_through(parts: tuple[str, ...], prefix: str) -> None:
    data = release()
    for part in parts:
        data[part] = {f"{prefix}{key}": value for key, value in data[part].items()}
    weights, clean = read_checkpoint(data), read_checkpoint(release())
    assert weights.config == clean.config
    assert all(weights.tensors[name].equal(tensor) for name, tensor in clean.tensors.items())
    assert weights.ignored == ()


def test_ddp_prefix_does_not_replace_a_key_of_the_same_name() -> None:
    data = release()
    data["pos_net"]["module.linears_position.4.bias"] = torch.zeros(24)
    weights = read_checkpoint(data)
    assert weights.tensors["position_net.mlp.4.bias"].equal(data["pos_net"]["linears_position.4.bias"])
    assert weights.ignored == ("pos_net.module.linears_position.4.bias",)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("is_flat", [False, True])
def test_flat_names_of_a_converter_and_prefixes_of_whole_parts(prefix: str, is_flat: bool) -> None:
    clean = read_checkpoint(release())
    data: dict[str, Any] = flatten(release()) if is_flat else dict(release())
    weights = read_checkpoint({f"{prefix}{key}": value for key, value in data.items()}, {"format": "pt"})
    assert weights.config == clean.config
    assert all(weights.tensors[name].equal(tensor) for name, tensor in clean.tensors.items())
    assert weights.ignored == ()


def test_a_checkpoint_around_the_adapter_is_named() -> None:
    assert "has an IFAdapter inside of state_dict. Save that part" in message_of({"state_dict": release()})


@pytest.mark.parametrize("prefix", ["", "module."])
def test_occlurank_is_named(prefix: str) -> None:
    """A follow-up with the same three parts and cbam.*, and lrt.* in place of conv.*."""
    data = release()
    layers = {
        key: value for key, value in data["adapter_modules"].items() if not re.search(r"^\d+\.conv", key)
    }
    for layer in ("49", "121"):
        layers[f"{layer}.lrt.pos_embed.weight"] = torch.zeros(10, 32)
        layers[f"{layer}.lrt.blocks.0.0.weight"] = torch.zeros(32)
    data["adapter_modules"] = {f"{prefix}{key}": value for key, value in layers.items()}
    message = message_of(data)
    assert "OccluRank" in message
    assert "does not fit together" not in message


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_refused(value: float, dtype: torch.dtype, tmp_path: Path) -> None:
    data = release()
    data["adapter_modules"]["49.to_k_ap.weight"] = data["adapter_modules"]["49.to_k_ap.weight"].to(dtype)
    data["adapter_modules"]["49.to_k_ap.weight"][3, 5] = value
    data["adapter_modules"]["121.alpha"] = torch.tensor(value, dtype=dtype)
    torch.save(data, tmp_path / "black.bin")
    message = refusal_of(tmp_path / "black.bin")
    for part in (
        "black.bin",
        "NaN or infinite",
        "adapter_modules.49.to_k_ap.weight",
        "adapter_modules.121.alpha",
    ):
        assert part in message
    assert "to_v_ap" not in message


def test_float8_weights_are_checked() -> None:
    data = release()
    key = "proj_in.weight"
    data["text_proj_model"][key] = data["text_proj_model"][key].to(torch.float8_e5m2)
    assert read_checkpoint(data).tensors["resampler.proj_in.weight"].dtype == torch.float8_e5m2
    data["text_proj_model"][key] = torch.full((32, 24), torch.inf).to(torch.float8_e5m2)
    assert "NaN or infinite" in message_of(data)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_never_written(value: float, tmp_path: Path) -> None:
    weights = read_checkpoint(release())
    tensors = {**weights.tensors, "layers.49.alpha": torch.tensor(value)}
    path = tmp_path / "black.safetensors"
    path.write_bytes(b"the file before")
    with pytest.raises(ValueError, match=r"black\.safetensors is not written: NaN .* layers\.49\.alpha"):
        storage.save_weights(AdapterWeights(weights.config, tensors), path)
    assert path.read_bytes() == b"the file before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("large", [1e300, -1e39])
def test_weights_that_are_infinite_in_float32_are_refused(large: float) -> None:
    data = release()
    data["adapter_modules"]["49.alpha"] = torch.tensor(large, dtype=torch.float64)
    message = message_of(data)
    assert "NaN or infinite" in message
    assert "adapter_modules.49.alpha" in message


def test_weights_beyond_float16_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = release()
    data["adapter_modules"]["49.alpha"] = torch.tensor(1e38)
    data["adapter_modules"]["121.alpha"] = torch.tensor(65504.0)
    torch.save(data, tmp_path / "large.bin")
    assert storage.load_weights(tmp_path / "large.bin").beyond_float16 == ("layers.49.alpha",)
    (warning,) = warnings_of(caplog)
    for part in ("large.bin", "float16 (65504): layers.49.alpha.", "bfloat16 or float32"):
        assert part in warning


@pytest.mark.parametrize("index", ["x", "-1", "49x", "1234567890", "4_9", ""])
@pytest.mark.parametrize(
    ("part", "prefix", "key"),
    [("adapter_modules", "", "to_k_ap.weight"), ("text_proj_model", "layers.", "0.to_q.weight")],
)
def test_a_layer_with_a_bad_index_is_no_leftover(part: str, prefix: str, key: str, index: str) -> None:
    data = release()
    data[part][f"{prefix}{index}.{key}"] = torch.zeros(2, 2)
    bad = f"{part}.{prefix}{index}.{key}"
    assert f"1 with a bad index of a layer: {bad}" in message_of(data)
