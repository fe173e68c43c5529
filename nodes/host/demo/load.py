"""Loads the demo's small models from diffusers' format as the host's own objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import comfy.diffusers_convert
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizerFast

from ....ifadapter_core.config import BaseModelFamily
from ..files import load_adapter_file
from .config import CLIP_KEYS, UNET_KEYS, VAE_KEYS, DemoConfig, TextModel

FOLDER = Path(__file__).resolve().parents[3] / "demo"
FAMILY = BaseModelFamily("the demo's small model", cell_px=8)
LISTED = 5  # tensor names that an error message lists


class DemoError(RuntimeError):
    """A file of the demo's models is missing or damaged."""


def load_demo() -> tuple[Any, comfy.sd.CLIP, comfy.sd.VAE, Any]:
    """MODEL, CLIP, VAE and IFADAPTER. Raises DemoError, naming the file that is damaged."""
    path = FOLDER / "ifadapter.safetensors"
    with _reading(path):
        adapter = load_adapter_file(str(path), FAMILY)
    return load_model(), load_clip(), load_vae(), adapter


def load_model(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """The UNet. disable_dynamic: the host's flag for keeping all weights in memory."""
    path = FOLDER / "unet" / "diffusion_pytorch_model.safetensors"
    config = DemoConfig(_config("unet", *UNET_KEYS), _config("vae", "latent_channels", "scaling_factor"))
    names = comfy.utils.unet_to_diffusers(config.unet_config)
    weights = {names.get(name, name): tensor for name, tensor in _tensors(path).items()}
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    dtypes = config.supported_inference_dtypes
    dtype = comfy.model_management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(weights),
        supported_dtypes=dtypes,
        weight_dtype=comfy.utils.weight_dtype(weights),
    )
    config.set_inference_dtype(dtype, comfy.model_management.unet_manual_cast(dtype, load_device, dtypes))
    model = config.get_model(weights).to(offload_device)
    _check(path, weights, model.diffusion_model.state_dict())
    patcher_class = (
        comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    )
    patcher = patcher_class(model, load_device=load_device, offload_device=offload_device)
    model.load_model_weights(weights, assign=patcher.is_dynamic())
    patcher.cached_patcher_init = (load_model, ())
    return patcher


def load_clip(disable_dynamic: bool = False) -> comfy.sd.CLIP:
    """The text encoder, in the host's format for Stable Diffusion 1.x."""
    path = FOLDER / "text_encoder" / "model.safetensors"
    config = _config("text_encoder", *CLIP_KEYS)
    width = config["hidden_size"]
    # The host's model has a text projection, which the demo does not use.
    weights = {**_tensors(path), "text_projection.weight": torch.eye(width)}
    _check(path, weights, TextModel(config, torch.float32, "meta", comfy.ops.manual_cast).state_dict())
    target = comfy.supported_models_base.ClipTarget(_tokenizer(config), comfy.sd1_clip.SD1ClipModel)
    target.params = {
        "clip_model": comfy.sd1_clip.SDClipModel,
        "textmodel_json_config": config,
        "model_class": TextModel,
        "special_tokens": {
            "start": config["bos_token_id"],
            "end": config["eos_token_id"],
            "pad": config["pad_token_id"],
        },
        "return_projected_pooled": False,
    }
    # Older hosts do not know this argument, and never pass it to this function.
    options = {"disable_dynamic": True} if disable_dynamic else {}
    embeddings = folder_paths.get_folder_paths("embeddings")
    clip = comfy.sd.CLIP(
        target,
        embeddings,
        parameters=comfy.utils.calculate_parameters(weights),
        state_dict=[weights],
        **options,
    )
    clip.patcher.cached_patcher_init = (_clip_patcher, ())
    return clip


def load_vae() -> comfy.sd.VAE:
    """The autoencoder."""
    path = FOLDER / "vae" / "diffusion_pytorch_model.safetensors"
    config = _config("vae", *VAE_KEYS)
    widths, channels = config["block_out_channels"], config["latent_channels"]
    layers = {
        "double_z": True,
        "z_channels": channels,
        "resolution": config["sample_size"],
        "in_channels": config["in_channels"],
        "out_ch": config["out_channels"],
        "ch": widths[0],
        "ch_mult": [width // widths[0] for width in widths],
        "num_res_blocks": config["layers_per_block"],
        "attn_resolutions": [],
    }
    parameters = {"ddconfig": layers, "embed_dim": channels}
    weights = comfy.diffusers_convert.convert_vae_state_dict(_tensors(path))
    with torch.device("meta"):
        expected = AutoencoderKL(**parameters).state_dict()
    _check(path, weights, expected)
    vae = comfy.sd.VAE(sd=weights, config={"params": parameters})
    vae.latent_channels = channels
    vae.patcher.cached_patcher_init = (_vae_patcher, ())
    return vae


def _tokenizer(config: Mapping[str, Any]) -> Any:
    """A factory for the host's tokenizer, with the demo's vocabulary."""
    folder = FOLDER / "tokenizer"
    path = folder / "tokenizer.json"
    with _reading(path):
        vocabulary = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
        # A folder of this pack: nothing is downloaded.
        given = CLIPTokenizerFast.from_pretrained(str(folder), local_files_only=True)("")["input_ids"]  # nosec B615
    expected = [config["bos_token_id"], config["eos_token_id"]]
    if given != expected or len(vocabulary) != config["vocab_size"]:
        raise _damaged(
            path,
            f"it has {len(vocabulary)} tokens and the start and end tokens {given}; the text "
            f"encoder expects {config['vocab_size']} tokens and {expected}",
        )
    tokenizer = partial(
        comfy.sd1_clip.SDTokenizer,
        tokenizer_path=str(folder),
        tokenizer_class=CLIPTokenizerFast,  # the slow class of transformers 4 cannot read tokenizer.json
        embedding_size=config["hidden_size"],
    )
    return partial(comfy.sd1_clip.SD1Tokenizer, tokenizer=tokenizer)


def _clip_patcher(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    return load_clip(disable_dynamic).patcher


def _vae_patcher(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    return load_vae().patcher  # the host has no dynamic VAE


def _config(part: str, *keys: str) -> dict[str, Any]:
    """The values of these keys in the config of one of the models."""
    path = FOLDER / part / "config.json"
    with _reading(path):
        data = json.loads(path.read_text(encoding="utf-8"))
        return {key: data[key] for key in keys}


def _tensors(path: Path) -> dict[str, Tensor]:
    with _reading(path):
        return comfy.utils.load_torch_file(str(path), safe_load=True)


def _check(path: Path, given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise DemoError unless names and shapes of the tensors match."""
    problems = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of the wrong shape": [
            name for name in expected if name in given and given[name].shape != expected[name].shape
        ],
    }
    listed = [
        f"{len(names)} {kind}: {', '.join(names[:LISTED])}" for kind, names in problems.items() if names
    ]
    if listed:
        raise _damaged(path, "; ".join(listed))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn every error about the content of a file into a DemoError."""
    try:
        yield
    except (DemoError, MemoryError):
        raise
    except Exception as error:  # damaged files raise many kinds of error
        missing = isinstance(error, FileNotFoundError)
        raise _damaged(path, "it is missing" if missing else f"{type(error).__name__}: {error}") from error


def _damaged(path: Path, reason: str) -> DemoError:
    return DemoError(
        f"The demo's models cannot be loaded, because {path} is missing or damaged ({reason}). "
        "Reinstall ComfyUI-IFAdapter."
    )
