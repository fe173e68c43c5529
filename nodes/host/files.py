"""Adapter files: folders, reading, and the ModelPatcher through which the host loads them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import folder_paths
import torch

from ...ifadapter_core.checkpoint import build_adapter
from ...ifadapter_core.config import BaseModelFamily
from ...ifadapter_core.storage import Content, is_safetensors, load_weights, read_content

FOLDER = "ifadapter"
SAFETENSORS = {".safetensors", ".sft"}
EXTENSIONS = {*SAFETENSORS, ".bin", ".pt", ".pth"}
SOURCE = "Hugging Face, repository WuYW/IFAdapter, file spd_adapter.bin (about 2 GB, for SDXL)"


def register_folder() -> None:
    """Search models/ifadapter after the folders of extra_model_paths.yaml, for adapter files only."""
    folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))
    paths, _ = folder_paths.folder_names_and_paths[FOLDER]
    folder_paths.folder_names_and_paths[FOLDER] = (paths, set(EXTENSIONS))


def adapter_names() -> list[str]:
    """The adapter files in all folders. The host also lists links whose target is gone; they are left out."""
    folders = folder_paths.get_folder_paths(FOLDER)
    return [
        name
        for name in folder_paths.get_filename_list(FOLDER)
        if any(os.path.isfile(os.path.join(folder, name)) for folder in folders)
    ]


def adapter_path(name: str) -> str:
    """Path of an adapter file.

    Raises FileNotFoundError with the folders searched, the files found and the source of the
    weights.
    """
    path = folder_paths.get_full_path(FOLDER, name) if name in adapter_names() else None
    if path is None:
        found = ", ".join(adapter_names()) or "none"
        folders = ", ".join(folder_paths.get_folder_paths(FOLDER))
        raise FileNotFoundError(
            f"No IFAdapter file '{name}'. Folders searched: {folders} (to add more, use the key "
            f"'{FOLDER}' in extra_model_paths.yaml). Files found: {found}. Download the weights "
            f"from {SOURCE}, put the file into one of these folders and press R to reload the node "
            "list."
        )
    return path


def load_adapter(name: str) -> comfy.model_patcher.ModelPatcher:
    """Load an adapter by file name. Errors: see adapter_path and load_adapter_file."""
    return load_adapter_file(adapter_path(name))


def load_adapter_file(
    path: str, family: BaseModelFamily | None = None, disable_dynamic: bool = False
) -> comfy.model_patcher.ModelPatcher:
    """Read and check an adapter file. Weights keep their dtype; the host loads them when needed.

    family: family of the base model, if the width of the text features does not identify it.
    disable_dynamic: whether the host must load the weights as a whole; the host asks for it itself.
    Raises ValueError, naming the file, if it is damaged, unsafe, not finite or not an adapter.
    """
    weights = load_weights(path, _read)
    weights = replace(weights, config=replace(weights.config, family_override=family))
    patcher = patcher_for(build_adapter(weights, comfy.ops.manual_cast), disable_dynamic)
    patcher.cached_patcher_init = (load_adapter_file, (path, family))  # how the host makes a second one
    return patcher


def _read(path: Path) -> Content:
    """The content of an adapter file. The host maps a safetensors file into memory, if its name says so."""
    if path.suffix.lower() in SAFETENSORS and is_safetensors(path):
        return comfy.utils.load_torch_file(str(path), safe_load=True, return_metadata=True)
    return read_content(path)


def patcher_for(module: torch.nn.Module, disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """A ModelPatcher, so that the host loads and offloads the module like any model.

    disable_dynamic: see load_adapter_file.
    """
    patcher_class: Any = comfy.model_patcher.ModelPatcher
    if not disable_dynamic:
        patcher_class = getattr(comfy.model_patcher, "CoreModelPatcher", patcher_class)
    return patcher_class(
        module,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def fingerprint(name: str) -> str:
    """A string that changes with the file. Empty without a file: then the run reports the error."""
    try:
        status = os.stat(adapter_path(name))
    except OSError:
        return ""
    return f"{status.st_mtime_ns}:{status.st_size}"
