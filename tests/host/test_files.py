"""Adapter files: which folders are searched, what counts as an adapter, and what users are told about everything else."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import folder_paths
import pytest
import torch
from safetensors.torch import save_file
from utils.extra_config import load_extra_path_config

import dense
import nodes
import reference
from ifadapter_core.convert import main as convert

SOURCE = ("WuYW/IFAdapter", "spd_adapter.bin")


@pytest.fixture
def folder(base: Path) -> Path:
    return base / "models" / "ifadapter"


@pytest.fixture
def write(folder: Path, request: pytest.FixtureRequest) -> Callable[[str, bytes], str]:
    """write(name, content) -> name: a file in models/ifadapter for this test only."""

    def run(name: str, content: bytes) -> str:
        (folder / name).write_bytes(content)
        folder_paths.filename_list_cache.pop("ifadapter", None)
        request.addfinalizer(lambda: (folder / name).unlink(missing_ok=True))
        return name

    return run


@pytest.fixture
def restart(monkeypatch: pytest.MonkeyPatch, host: Path, tmp_path: Path) -> Callable[[str], None]:
    """restart(yaml) -> what happens to the adapter folders when the host starts with this extra_model_paths.yaml."""

    def run(yaml: str) -> None:
        monkeypatch.delitem(folder_paths.folder_names_and_paths, "ifadapter")
        folder_paths.filename_list_cache.pop("ifadapter", None)
        if yaml:
            path = tmp_path / "extra_model_paths.yaml"
            path.write_text(yaml)
            load_extra_path_config(str(path))
        asyncio.run(pack().comfy_entrypoint())

    yield run
    folder_paths.filename_list_cache.pop("ifadapter", None)


def pack() -> Any:
    """The pack as the host's loader has imported it."""
    name = nodes.NODE_CLASS_MAPPINGS["IFAdapterLoader"].__module__
    return sys.modules[name.removesuffix(".nodes.loader")]


def loader() -> Any:
    return nodes.NODE_CLASS_MAPPINGS["IFAdapterLoader"]


def choices() -> list[str]:
    """What the loader's combo offers."""
    return loader().GET_NODE_INFO_V1()["input"]["required"]["adapter_name"][1]["options"]


def saved(data: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(data, buffer)
    return buffer.getvalue()


# Folders


def test_default_folder_is_searched(ifadapter, folder, write):
    write("notes.txt", b"not an adapter")
    assert folder_paths.get_folder_paths("ifadapter") == [str(folder)]
    assert "small.bin" in choices()
    assert "notes.txt" not in choices()


def test_new_files_appear_without_a_restart(ifadapter, write):
    before = choices()
    write("new.safetensors", b"")
    assert sorted([*before, "new.safetensors"]) == choices()


def test_folders_of_the_yaml_are_searched_too(ifadapter, folder, restart, tmp_path, node):
    for name, file in (
        ("one", "one.bin"),
        ("two", "two.safetensors"),
        ("two/deep", "three.pt"),
        ("one", "notes.txt"),
        ("two", "x.ckpt"),
    ):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / file).write_bytes(b"")
    (tmp_path / "one" / "one.bin").write_bytes((folder / "small.bin").read_bytes())
    restart(
        f"first:\n  base_path: {tmp_path}\n  ifadapter: one\nsecond:\n  ifadapter: |\n    {tmp_path / 'two'}\n"
    )
    assert folder_paths.get_folder_paths("ifadapter") == [
        str(tmp_path / "one"),
        str(tmp_path / "two"),
        str(folder),
    ]
    offered = choices()
    assert {"one.bin", "two.safetensors", os.path.join("deep", "three.pt"), "small.bin"} <= set(offered)
    assert not {"notes.txt", "x.ckpt"} & set(offered)
    for name in ("one.bin", "small.bin"):
        assert node("IFAdapterLoader", adapter_name=name)[0].model.config == ifadapter.model.config


def test_default_folder_named_in_the_yaml_is_listed_once(folder, restart):
    restart(f"mine:\n  is_default: true\n  ifadapter: {folder}\n")
    assert folder_paths.get_folder_paths("ifadapter") == [str(folder)]


def test_no_file_at_all(restart, monkeypatch, tmp_path):
    """The node is there, its combo has something to show, and the message says where to look and what to get."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    restart(f"mine:\n  ifadapter: {tmp_path / 'empty'}\n")
    (shown,) = choices()
    told = loader().validate_inputs(shown)
    with pytest.raises(FileNotFoundError) as raised:
        loader().execute(shown)
    for message in (told, str(raised.value)):
        for part in (
            *SOURCE,
            str(tmp_path / "empty"),
            str(tmp_path / "models" / "ifadapter"),
            "extra_model_paths.yaml",
        ):
            assert part in message


def test_missing_file(ifadapter):
    with pytest.raises(FileNotFoundError, match=r"No IFAdapter file 'gone.bin'.*small\.bin"):
        loader().execute("gone.bin")
    assert "gone.bin" in loader().validate_inputs("gone.bin")
    assert loader().validate_inputs("small.bin") is True


def test_file_that_vanished_after_it_was_listed(write, folder):
    name = write("brief.bin", b"")
    assert name in choices()
    (folder / name).unlink()
    assert name in loader().validate_inputs(name)
    with pytest.raises(FileNotFoundError, match=name):
        loader().execute(name)


@pytest.mark.parametrize(
    "name",
    ["../outside.bin", "../ifadapter/small.bin", "{folder}/small.bin", "/outside.bin", "..\\outside.bin", ""],
)
def test_names_that_lead_elsewhere_are_refused(ifadapter, folder, checkpoint, name):
    outside = folder.parent / "outside.bin"
    torch.save(checkpoint, outside)
    name = name.format(folder=folder)
    try:
        assert loader().validate_inputs(name) is not True
        with pytest.raises(FileNotFoundError, match="No IFAdapter file"):
            loader().execute(name)
    finally:
        outside.unlink()


def test_fingerprint_follows_the_file(write, folder):
    def fingerprint() -> str:
        return loader().fingerprint_inputs("changing.bin")

    write("changing.bin", b"abc")
    os.utime(folder / "changing.bin", ns=(10**18, 10**18))
    first = fingerprint()
    assert fingerprint() == first
    write("changing.bin", b"abcd")
    os.utime(folder / "changing.bin", ns=(10**18, 10**18))
    longer = fingerprint()
    os.utime(folder / "changing.bin", ns=(10**18, 10**18 + 1))
    later = fingerprint()
    assert len({first, longer, later}) == 3
    assert isinstance(loader().fingerprint_inputs("gone.bin"), str)


# What is an adapter


def test_converted_file_gives_the_same_tokens(node, ifadapter, make_tokens, apply, folder, write):
    write("converted.safetensors", b"")
    (folder / "converted.safetensors").unlink()
    assert convert([str(folder / "small.bin"), str(folder / "converted.safetensors")]) == 0
    other = node("IFAdapterLoader", adapter_name="converted.safetensors")[0]
    got, want = make_tokens(dense.THREE, other), make_tokens(dense.THREE)
    assert torch.equal(got.cond, want.cond)
    assert torch.equal(got.uncond, want.uncond)
    inputs = dense.make_inputs(2)
    assert torch.equal(dense.predict(apply(got, ifadapter=other), inputs), dense.predict(apply(want), inputs))


def test_file_of_the_old_torch_format(write, checkpoint, node):
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer, _use_new_zipfile_serialization=False)
    write("old.bin", buffer.getvalue())
    latents = node("IFAdapterLoader", adapter_name="old.bin")[0].model.state_dict()[
        "resampler.appearance_queries"
    ]
    assert torch.equal(latents, checkpoint["text_proj_model"]["latents"])


class Marker:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "pack_it", [saved, partial(pickle.dumps, protocol=2)], ids=["torch file", "plain pickle"]
)
def test_code_in_a_file_is_not_run(write, checkpoint, tmp_path, pack_it):
    marker = tmp_path / "was_here"
    name = write("code.bin", pack_it({**checkpoint, "pos_net": Marker(marker)}))
    with pytest.raises(ValueError, match=r"code.bin is refused: .* code"):
        loader().execute(name)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Marker(marker)))
    assert marker.exists()  # so it would have been


DAMAGED = {
    "empty.bin": b"",
    "empty.safetensors": b"",
    "page.bin": b"<!DOCTYPE html><html><body>404: not found</body></html>",
    "page.safetensors": b"<!DOCTYPE html><html><body>404: not found</body></html>",
    "pointer.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 2087654321\n",
    "pointer.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 2087654321\n",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_failed_download(write, name):
    """Nothing, an error page, or a pointer to a large file in place of the file."""
    write(name, DAMAGED[name])
    with pytest.raises(ValueError, match=rf"{name} is damaged or incomplete.*[Dd]ownload"):
        loader().execute(name)


@pytest.mark.parametrize("part", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("name", ["cut.bin", "cut.safetensors"])
def test_truncated_file(ifadapter, folder, write, tmp_path, name, part):
    whole = folder / "small.bin"
    if name.endswith(".safetensors"):
        assert convert([str(whole), str(tmp_path / "whole.safetensors")]) == 0
        whole = tmp_path / "whole.safetensors"
    content = whole.read_bytes()
    write(name, content[: int(part * len(content))])
    with pytest.raises(ValueError, match=rf"{name} is damaged or incomplete.*[Dd]ownload"):
        loader().execute(name)


def test_other_kinds_of_files_are_named(write, folder):
    kinds = {
        "a LoRA": ["lora_unet_down_blocks_1.lora_up.weight", "lora_unet_down_blocks_1.lora_down.weight"],
        "an IP-Adapter for SDXL": ["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"],
        "a full checkpoint": [
            "model.diffusion_model.input_blocks.0.0.weight",
            "first_stage_model.decoder.conv_in.weight",
        ],
        "a ControlNet": ["control_model.input_hint_block.0.weight"],
    }
    for kind, keys in kinds.items():
        write("other.safetensors", b"")
        save_file({key: torch.ones(2, 2048) for key in keys}, folder / "other.safetensors")
        with pytest.raises(
            ValueError, match=f"other.safetensors: This is not an IFAdapter: it seems to be {kind}"
        ):
            loader().execute("other.safetensors")
    nested = {
        "image_proj": {"proj.weight": torch.ones(2, 2)},
        "ip_adapter": {"1.to_k_ip.weight": torch.ones(640, 768)},
    }
    write("other.bin", saved(nested))
    with pytest.raises(ValueError, match=r"it seems to be an IP-Adapter for SD 1\.5"):
        loader().execute("other.bin")


@pytest.mark.parametrize("data", [[1, 2], [1], 7, None, "text", torch.ones(3)], ids=repr)
def test_things_that_are_no_state_dict(write, data):
    write("thing.bin", saved(data))
    with pytest.raises(ValueError, match="thing.bin"):
        loader().execute("thing.bin")


def test_incomplete_adapter_lists_what_is_missing(write, checkpoint):
    layers = {
        key: value
        for key, value in checkpoint["adapter_modules"].items()
        if key not in ("17.alpha", "31.conv.bias")
    }
    write("part.bin", saved({**checkpoint, "adapter_modules": layers}))
    with pytest.raises(
        ValueError,
        match=r"part.bin: .*2 missing: adapter_modules\.17\.alpha, adapter_modules\.31\.conv\.bias",
    ):
        loader().execute("part.bin")


# An adapter on a model that it was not made for


@pytest.mark.parametrize(
    ("layers", "of_the_adapter"),
    [
        pytest.param([(49, 32, 16), (121, 48, 8)], ["2 layers", "32, 48 wide", "49, 121"], id="other layers"),
        pytest.param([(13, 32, 32)], ["1 layers", "32 wide", "13"], id="other width"),
        pytest.param([(13, 64, 16)], ["1 layers", "64 wide", "13"], id="other heads"),
        pytest.param([(14, 64, 32)], ["14"], id="a self attention"),
        pytest.param([(35, 64, 32)], ["35"], id="beyond the last"),
    ],
)
def test_adapter_for_another_model(load, apply, make_tokens, layers, of_the_adapter):
    checkpoint = reference.make_release_checkpoint(1, text_width=dense.TEXT_WIDTH, layers=layers)
    adapter = load("other_model.bin", checkpoint)
    tokens = make_tokens(dense.ONE, adapter)
    with pytest.raises(ValueError, match="does not fit this model") as error:
        apply(tokens, ifadapter=adapter)
    for part in (*of_the_adapter, "(SDXL)", "34 attention processors", "32, 64 wide"):
        assert part in str(error.value)


def test_tokens_of_another_adapter(load, apply, make_tokens):
    layers = [(processor, dense.ADAPTED_WIDTH, dense.HEAD_DIM) for processor in dense.PLACES]
    narrow = load("narrow.bin", reference.make_release_checkpoint(1, text_width=64, layers=layers))
    with pytest.raises(ValueError, match=r"96 wide .* 64\. .*same adapter"):
        apply(make_tokens(dense.ONE), ifadapter=narrow)


def test_model_without_a_unet(apply, make_tokens):
    model = SimpleNamespace(
        model=SimpleNamespace(diffusion_model=torch.nn.Linear(2, 2), model_config=SimpleNamespace())
    )
    with pytest.raises(ValueError, match="has no UNet") as error:
        apply(make_tokens(dense.ONE), model=model)
    assert "8 layers" in str(error.value)
    assert "SimpleNamespace" in str(error.value)
