"""Contents of adapter files: converted, old, damaged, unsafe, and other kinds of files."""

from __future__ import annotations

import io
import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import oracle
from ifadapter_core.checkpoint import metadata_for, read_checkpoint
from ifadapter_core.convert import main as convert
from loader import loader, saved
from sampling import warnings_of


def test_converted_file_gives_the_same_tokens(node, ifadapter, make_tokens, apply, folder, write):
    write("converted.safetensors", b"")
    (folder / "converted.safetensors").unlink()
    assert convert([str(folder / "small.bin"), str(folder / "converted.safetensors")]) == 0
    other = node("IFAdapterLoader", adapter_name="converted.safetensors")[0]
    got, want = make_tokens(oracle.THREE, other), make_tokens(oracle.THREE)
    assert torch.equal(got.cond, want.cond)
    assert torch.equal(got.uncond, want.uncond)
    inputs = oracle.make_inputs(2)
    assert torch.equal(
        oracle.predict(apply(got, ifadapter=other), inputs), oracle.predict(apply(want), inputs)
    )


def test_file_of_the_old_torch_format(write, checkpoint, node):
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer, _use_new_zipfile_serialization=False)
    write("old.bin", buffer.getvalue())
    latents = node("IFAdapterLoader", adapter_name="old.bin")[0].model.state_dict()[
        "resampler.appearance_queries"
    ]
    assert torch.equal(latents, checkpoint["text_proj_model"]["latents"])


@pytest.mark.parametrize("form", ["torch", "old torch", "safetensors"])
@pytest.mark.parametrize("name", ["any.bin", "any.safetensors", "any.SFT", "any.pt"])
def test_the_format_is_read_from_the_content(folder, write, checkpoint, tmp_path, node, name, form):
    """Downloads get other names; the host's own loader goes by the name."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer, _use_new_zipfile_serialization=form != "old torch")
    (tmp_path / "source.bin").write_bytes(buffer.getvalue())
    if form == "safetensors":
        assert convert([str(tmp_path / "source.bin"), str(tmp_path / "target.safetensors")]) == 0
        write(name, (tmp_path / "target.safetensors").read_bytes())
    else:
        write(name, buffer.getvalue())
    state = node("IFAdapterLoader", adapter_name=name)[0].model.state_dict()
    assert torch.equal(state["resampler.appearance_queries"], checkpoint["text_proj_model"]["latents"])


def test_leftovers_give_one_warning(write, checkpoint, ifadapter, caplog):
    layers = {**checkpoint["adapter_modules"], "17.gamma": torch.ones(1)}
    write("left.bin", saved({**checkpoint, "adapter_modules": layers, "epoch": 3, "state_dict": {}}))
    adapter = loader().execute("left.bin").result[0]
    assert adapter.model.config == ifadapter.model.config
    (warning,) = warnings_of(caplog)
    assert "left.bin" in warning
    assert "ignored: adapter_modules.17.gamma, epoch, state_dict" in warning


@pytest.mark.parametrize("name", ["black.bin", "black.safetensors"])
def test_weights_that_are_not_finite_are_refused(write, checkpoint, folder, name):
    weights = read_checkpoint(checkpoint)
    if name.endswith(".safetensors"):
        tensors = {**weights.tensors, "layers.17.alpha": torch.tensor(torch.nan)}
        write(name, b"")
        save_file(tensors, folder / name, metadata_for(weights.config))
    else:
        layers = {**checkpoint["adapter_modules"], "17.alpha": torch.tensor(torch.nan)}
        write(name, saved({**checkpoint, "adapter_modules": layers}))
    with pytest.raises(ValueError, match=rf"{name}: .*NaN or infinite weights.*17\.alpha"):
        loader().execute(name)


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
    assert marker.exists()  # unpickling does run the code


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 2087654321\n"
DAMAGED = {
    "empty.bin": b"",
    "empty.safetensors": b"",
    "page.bin": b"<!DOCTYPE html><html><body>404: not found</body></html>",
    "page.safetensors": b"<!DOCTYPE html><html><body>404: not found</body></html>",
    "pointer.bin": LFS_POINTER,
    "pointer.safetensors": LFS_POINTER,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_failed_download(write, name):
    """An empty file, an error page, or a Git LFS pointer instead of the file."""
    write(name, DAMAGED[name])
    kind = {"empty": "is damaged or incomplete", "page": "a web page", "pointer": "a pointer of Git LFS"}
    with pytest.raises(ValueError, match=rf"{name}:? .*{kind[name.split('.')[0]]}.*[Dd]ownload"):
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
def test_files_without_a_state_dict(write, data):
    write("thing.bin", saved(data))
    with pytest.raises(ValueError, match=r"thing\.bin"):
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
