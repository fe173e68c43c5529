"""Damaged and malicious adapter files."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import reference
from adapter_files import refusal_of, release_bytes, tokens_of
from ifadapter_core import convert


@pytest.mark.parametrize(
    "kept", [0, 1, 2, 3, 4, 30, 100, 2000, 8000, 10000, 20000, 0.25, 0.5, 0.75, 0.99, -1000, -100, -22, -1]
)
def test_truncated_bin_is_rejected(kept: float, tmp_path: Path) -> None:
    content = release_bytes()
    path = tmp_path / "cut.bin"
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert "cut.bin is damaged or incomplete" in refusal_of(path)


@pytest.mark.parametrize("damage", [b"\0" * 400, b"<html>" * 60, b"\x41"])
def test_damaged_numbers_are_rejected(damage: bytes, tmp_path: Path) -> None:
    """A download with a hole has the right length and all its keys."""
    content = release_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = max(archive.infolist(), key=lambda entry: entry.file_size)
        numbers = archive.read(entry)
    start = content.index(numbers) + 2000
    path = tmp_path / "holes.bin"
    path.write_bytes(content[:start] + damage + content[start + len(damage) :])
    assert f"holes.bin: It is damaged: the checksums of {entry.filename} do not fit" in refusal_of(path)


def test_file_without_checksums_loads(tmp_path: Path, release_file: Path) -> None:
    content = bytearray(release_file.read_bytes())
    for signature, offset in ((b"PK\1\2", 16), (b"PK\3\4", 14), (b"PK\7\x08", 4)):  # of the zip format
        for match in re.finditer(re.escape(signature), bytes(content)):
            content[match.start() + offset : match.start() + offset + 4] = bytes(4)
    path = tmp_path / "plain.bin"
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert not any(entry.CRC for entry in archive.infolist())
    assert tokens_of(path).equal(tokens_of(release_file))


def test_archive_around_the_file_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("spd_adapter.bin", release_bytes())
    assert "packed.bin: It is a zip archive with spd_adapter.bin" in refusal_of(tmp_path / "packed.bin")


@pytest.mark.parametrize("kept", [0, 1, 10, 30, 100, 500, 2000, 0.25, 0.5, 0.99, -1])
def test_truncated_bin_in_legacy_torch_format_is_rejected(kept: float, tmp_path: Path) -> None:
    content = release_bytes(legacy=True)
    path = tmp_path / "cut.bin"
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert "cut.bin is damaged or incomplete" in refusal_of(path)


def test_legacy_torch_format_loads(tmp_path: Path, release_file: Path) -> None:
    path = tmp_path / "older.bin"
    path.write_bytes(release_bytes(legacy=True))
    assert tokens_of(path).equal(tokens_of(release_file))


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, 1000, 0.25, 0.5, 0.75, 0.99, -1])
def test_truncated_safetensors_is_rejected(kept: float, tmp_path: Path, converted_file: Path) -> None:
    content = converted_file.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert "cut.safetensors is damaged or incomplete" in refusal_of(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html><body>Sign in to continue</body></html>", ": It is a web page"),
        (b"\xef\xbb\xbf\n<html>", ": It is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2083456789\n",
            "pointer of Git LFS",
        ),
        (b"Entry not found", " is damaged or incomplete"),
        (b"\0" * 4096, " is damaged or incomplete"),
        (bytes(range(256)) * 8, " is damaged or incomplete"),
    ],
    ids=["a web page", "a marked web page", "a git-lfs pointer", "a line of text", "zeros", "all bytes"],
)
@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_remains_of_a_failed_download_are_rejected(
    content: bytes, message: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"page{suffix}"
    path.write_bytes(content)
    assert re.search(f"page{suffix}.*{message}", refusal_of(path))


@pytest.mark.parametrize("name", ["a.safetensors", "a.sft", "a.bin", "a.pt", "a.SAFETENSORS", "a.txt", "a"])
def test_the_format_is_read_from_the_content(
    release_file: Path, converted_file: Path, tmp_path: Path, name: str
) -> None:
    for content in (release_file.read_bytes(), release_bytes(legacy=True), converted_file.read_bytes()):
        (tmp_path / name).write_bytes(content)
        assert tokens_of(tmp_path / name).equal(tokens_of(release_file))


def test_safetensors_header_whose_length_begins_like_a_pickle(converted_file: Path, tmp_path: Path) -> None:
    content = converted_file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    padding = (0x80 - length) % 0x100
    path = tmp_path / "padded.bin"
    header = content[8 : 8 + length] + b" " * padding
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    assert path.read_bytes()[:1] == b"\x80"
    assert tokens_of(path).equal(tokens_of(converted_file))


class MaliciousPickle:
    """Unpickling it creates a folder."""

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
def test_pickle_with_code_is_rejected_and_not_run(
    call: Callable[..., Any], form: str, place: str, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    malicious = MaliciousPickle(marker, call)
    content: Any = {
        "alone": malicious,
        "as a part": {"text_proj_model": malicious, "adapter_modules": {}, "pos_net": {}},
        "beside the weights": {**reference.make_release_checkpoint(4), "extra": malicious},
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
    pickle.loads(pickle.dumps(malicious))  # proves that the pickle is malicious
    assert marker.exists()


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
@pytest.mark.parametrize("protocol", [4, 5])
def test_pickle_of_a_later_protocol_is_refused_by_its_name(form: str, protocol: int, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "hostile.bin"
    malicious = MaliciousPickle(marker)
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(malicious, protocol=protocol))
    else:
        torch.save(malicious, path, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
    message = refusal_of(path)
    assert f"hostile.bin: It is refused: it is a pickle of protocol {protocol}" in message
    assert "Nothing in it was run" in message
    assert not marker.exists()


def test_convert_command_rejects_a_pickle_with_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, marker, target = tmp_path / "hostile.bin", tmp_path / "marker", tmp_path / "out.safetensors"
    torch.save({"pos_net": MaliciousPickle(marker)}, path)
    assert convert.main([str(path), str(target)]) == 1
    assert "hostile.bin is refused" in capsys.readouterr().err
    assert not marker.exists()
    assert not target.exists()
