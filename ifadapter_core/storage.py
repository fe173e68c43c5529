"""Adapter files: load and check either format, save the pack's own."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .checkpoint import AdapterWeights, metadata_for, read_checkpoint
from .config import unquoted
from .weights.errors import CheckpointError, listed
from .weights.tensors import extremes_of, non_finite

MAX_HEADER = 100_000_000  # bytes, as in safetensors
CHUNK = 1 << 20  # bytes read at a time
ZIP_START = b"PK\3\4"
PICKLE_START = b"\x80"  # of torch.save before version 1.6
TORCH_PROTOCOL = b"\x03"  # the highest protocol of a pickle that torch.load reads

# The content of a file, and the metadata of a safetensors file.
Content = tuple[Any, "dict[str, str] | None"]


def read_content(path: Path) -> Content:
    """The content of a file, in the format that its first bytes show."""
    if is_safetensors(path):
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata()
    with open(path, "rb") as opened:
        start = opened.read(len(ZIP_START))
        if start == ZIP_START:
            _check_archive(path)
        elif start.startswith(PICKLE_START):
            with mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
                _check_pickle(content)
        else:
            raise _other_file(start + opened.read(100))
        opened.seek(0)
        # Not the path: torch reads a file named .safetensors as such.
        return torch.load(opened, map_location="cpu", weights_only=True), None


def is_safetensors(path: str | Path) -> bool:
    """Whether a file begins with a header of safetensors: its length in 8 bytes, then JSON."""
    with open(path, "rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= MAX_HEADER


def load_weights(path: str | Path, read: Callable[[Path], Content] = read_content) -> AdapterWeights:
    """Load and check an adapter file of either format, on the CPU. Never runs code from the file.

    read: reader of the file.

    Logs one warning with the keys that an adapter does not have, and one with the weights that are
    infinite in float16. Raises CheckpointError for a file that is damaged, asks to run code, or is not an
    adapter, OSError if it cannot be opened.
    """
    path = Path(path)
    with _reading(path):
        weights = read_checkpoint(*read(path))
    if weights.ignored:
        logging.warning(
            "IFAdapter: %s has keys that an adapter does not use; they are ignored: %s",
            path.name,
            listed(weights.ignored),
        )
    if weights.beyond_float16:
        logging.warning(
            "IFAdapter: %s has weights beyond the range of float16 (65504): %s. Where the base model runs in "
            "float16 its pictures are black; run it in bfloat16 or float32.",
            path.name,
            listed(weights.beyond_float16),
        )
    return weights


def save_weights(
    weights: AdapterWeights, path: str | Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Save in the pack's .safetensors format. Atomic write: temporary file, then rename.

    metadata: further texts for the file's metadata, such as where the weights come from.

    Raises CheckpointError for weights that are not finite, OSError if the file cannot be written.
    """
    path = Path(path)
    if bad := non_finite(extremes_of(weights.tensors)):
        raise CheckpointError(f"{path.name} is not written: NaN or infinite weights in {listed(bad)}.")
    # safetensors refuses tensors that share memory.
    tensors = {
        name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.tensors.items()
    }
    part = path.with_name(f"{path.stem[:100]}.{uuid4().hex}.part")
    with open(part, "xb"):  # a new file, never one of the user's; raises OSError early
        pass
    try:
        save_file(tensors, str(part), {**(metadata or {}), **metadata_for(weights.config)})
        os.replace(part, path)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors about a file's content into a CheckpointError that names the file and the fix.

    Raises OSError if the file cannot be opened.
    """
    with open(path, "rb"):
        pass
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # the parsers raise many types on malformed bytes
        raise CheckpointError(_unreadable(path.name, error)) from error


def _check_archive(path: Path) -> None:
    """Raise CheckpointError for a zip archive that fills the memory when it is read, or is damaged."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if not any(entry.filename.endswith(".pkl") for entry in entries):
            raise CheckpointError(
                f"It is a zip archive with {listed([entry.filename for entry in entries])}, not the weights "
                "themselves. Unpack it."
            )
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > size:
            raise CheckpointError(
                f"It is refused: its {size} bytes unpack to {unpacked} bytes, but torch.save compresses "
                "nothing. Get the file from a source that you trust."
            )
        for entry in entries:
            if entry.CRC == 0:
                del entry.CRC  # torch.save was told to leave out the checksums
        _check_sums(archive)
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                _check_pickle(archive.read(entry))


def _check_sums(archive: zipfile.ZipFile) -> None:
    """Raise CheckpointError if an entry does not fit its checksum, which torch.load does not look at."""
    damaged = [entry.filename for entry in archive.infolist() if not _fits_sum(archive, entry)]
    if damaged:
        raise CheckpointError(
            f"It is damaged: the checksums of {listed(damaged)} do not fit their content. Nothing in it was "
            "run. Download it again."
        )


def _fits_sum(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(entry) as opened:
            while opened.read(CHUNK):
                pass
    except zipfile.BadZipFile:
        return False
    return True


def _check_pickle(content: bytes | mmap) -> None:
    """Raise CheckpointError for pickles that torch.save does not write.

    They are of another protocol, or hold the one call that torch permits and that can fill the memory.
    """
    if content[:1] == PICKLE_START and content[1:2] > TORCH_PROTOCOL:
        raise CheckpointError(
            f"It is refused: it is a pickle of protocol {content[1]}, where torch.save writes protocol 2. It "
            "may ask to run code. Nothing in it was run. Get the file from a source that you trust."
        )
    if content.find(b"bytearray") >= 0:
        raise CheckpointError(
            "It is refused: it asks for memory with bytearray, where an adapter holds tensors only. "
            "Get the file from a source that you trust."
        )


def _other_file(start: bytes) -> Exception:
    """The error for a file that is no weights file. start: its first bytes."""
    if start.startswith(b"version https://git-lfs"):
        return CheckpointError(
            "It is a pointer of Git LFS, not the weights. Run git lfs pull where it came from, or download "
            "the file itself."
        )
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return CheckpointError(
            "It is a web page, not the weights: the download was refused, or the address is that of the page "
            "about the file. Download the file itself."
        )
    return ValueError("it begins neither like a safetensors file nor like one of torch.save")


def _unreadable(name: str, error: Exception) -> str:
    """Message for a file that no parser could read."""
    # By name: the registry's scanner rejects an import of the error's module.
    if type(error).__name__ == "UnpicklingError" and "Unsupported operand" not in str(error):
        return (
            f"{name} is refused: it is a pickle that asks to run code, where an adapter holds tensors only. "
            "Nothing in it was run. Get the file from a source that you trust."
        )
    reason = next(
        (line for line in reversed(str(error).splitlines()) if line and "http" not in line),
        type(error).__name__,
    )
    return (
        f"{name} is damaged or incomplete, or no checkpoint at all ({unquoted(reason)}). "
        "Nothing in it was run. Download it again."
    )
