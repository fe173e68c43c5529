"""Folders that are searched for adapter files, and what the loader offers."""

from __future__ import annotations

import os

import folder_paths
import pytest
import torch

from loader import choices, loader

SOURCE = ("WuYW/IFAdapter", "spd_adapter.bin")


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
        f"first:\n  base_path: {tmp_path}\n  ifadapter: one\n"
        f"second:\n  ifadapter: |\n    {tmp_path / 'two'}\n"
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


def test_no_adapter_files(restart, monkeypatch, tmp_path):
    """The combo box is not empty, and the error names the folders and the source of the weights."""
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


def test_dangling_links_are_not_listed(ifadapter, folder, write, caplog):
    """Links as a shared model store leaves them when its file is gone."""
    for name in ("gone.bin", "loop.safetensors"):
        write(name, b"")
        (folder / name).unlink()
        (folder / name).symlink_to(name if name.startswith("loop") else folder.parent / "nowhere.bin")
    write("linked.bin", b"")
    (folder / "linked.bin").unlink()
    (folder / "linked.bin").symlink_to(folder / "small.bin")
    assert {"small.bin", "linked.bin"} <= set(choices())
    assert not {"gone.bin", "loop.safetensors"} & set(choices())
    assert "gone.bin" in loader().validate_inputs("gone.bin")
    with pytest.raises(FileNotFoundError, match=r"No IFAdapter file 'gone\.bin'"):
        loader().execute("gone.bin")
    assert loader().execute("linked.bin").result[0].model.config == ifadapter.model.config
    assert not caplog.records


def test_file_deleted_after_listing(write, folder):
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
def test_names_outside_the_folders_are_refused(ifadapter, folder, checkpoint, name):
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
