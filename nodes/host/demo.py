"""The small models that come with the pack, read from diffusers' format as the host's own objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import comfy.clip_model
import comfy.diffusers_convert
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizerFast

from ...ifadapter_core.config import BaseModelFamily
from .files import load_adapter_file

FOLDER = Path(__file__).resolve().parents[2] / "demo"
FAMILY = BaseModelFamily("the demo's small model", cell_px=8)
SHOWN = 5  # names that an error spells out

# What is read of diffusers' configs.
UNET_KEYS = (
    "sample_size",
    "in_channels",
    "out_channels",
    "block_out_channels",
    "layers_per_block",
    "down_block_types",
    "up_block_types",
    "attention_head_dim",
    "cross_attention_dim",
    "use_linear_projection",
)
VAE_KEYS = (
    "sample_size",
    "in_channels",
    "out_channels",
    "block_out_channels",
    "layers_per_block",
    "latent_channels",
)
CLIP_KEYS = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "vocab_size",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


class DemoError(RuntimeError):
    """A file of the demo's models is missing or is not what was shipped."""


def load_demo() -> tuple[Any, comfy.sd.CLIP, comfy.sd.VAE, Any]:
    """MODEL, CLIP, VAE and IFADAPTER. Raises DemoError that names the file when one is missing or damaged."""
    path = FOLDER / "ifadapter.safetensors"
    with _reading(path):
        adapter = load_adapter_file(str(path), FAMILY)
    return load_model(), load_clip(), load_vae(), adapter


def load_model(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """The UNet. disable_dynamic: as the host means it, with all weights in memory."""
    path = FOLDER / "unet" / "diffusion_pytorch_model.safetensors"
    config = DemoConfig(_config("unet", *UNET_KEYS), _config("vae", "latent_channels", "scaling_factor"))
    names = comfy.utils.unet_to_diffusers(config.unet_config)
    weights = {names.get(name, name): tensor for name, tensor in _tensors(path).items()}
    load_device, offload_device = (
        comfy.model_management.get_torch_device(),
        comfy.model_management.unet_offload_device(),
    )
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
    """The text encoder, of the kind that Stable Diffusion 1.x has."""
    path = FOLDER / "text_encoder" / "model.safetensors"
    config = _config("text_encoder", *CLIP_KEYS)
    width = config["hidden_size"]
    weights = {
        **_tensors(path),
        "text_projection.weight": torch.eye(width),
    }  # the host has a projection, of which nothing here makes use
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
    options = (
        {"disable_dynamic": True} if disable_dynamic else {}
    )  # unknown to older hosts, which never ask for it
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


class DemoConfig(comfy.supported_models.SD15):
    """What the host knows of the model. Trained on velocities, to zero terminal signal-to-noise ratio."""

    unet_extra_config: dict[str, Any] = {}
    sampling_settings = {"zsnr": True}

    def __init__(self, unet: Mapping[str, Any], vae: Mapping[str, Any]) -> None:
        """unet, vae: diffusers' configs."""
        layers, widths = unet["layers_per_block"], unet["block_out_channels"]
        down, up = (
            [int("CrossAttn" in kind) for kind in unet[key]] for key in ("down_block_types", "up_block_types")
        )
        super().__init__(
            {
                "image_size": unet["sample_size"],
                "in_channels": unet["in_channels"],
                "out_channels": unet["out_channels"],
                "model_channels": widths[0],
                "channel_mult": [_Multiple(width / widths[0]) for width in widths],
                "num_res_blocks": [layers] * len(widths),
                "transformer_depth": [depth for depth in down for _ in range(layers)],
                "transformer_depth_middle": 1,
                "transformer_depth_output": [
                    depth for depth in reversed(up) for _ in range(layers + 1)
                ],  # highest resolution first
                "num_heads": unet["attention_head_dim"],  # diffusers' name for it in such a model
                "context_dim": unet["cross_attention_dim"],
                "use_linear_in_transformer": unet["use_linear_projection"],
                "use_spatial_transformer": True,
                "legacy": False,
                "adm_in_channels": None,
            }
        )
        self.latent_format = DemoLatents(vae["latent_channels"], vae["scaling_factor"])

    def model_type(self, state_dict: Mapping[str, Any], prefix: str = "") -> comfy.model_base.ModelType:
        return comfy.model_base.ModelType.V_PREDICTION

    def inpaint_model(self) -> bool:
        return False  # its latents have more than 4 channels, by which the host tells


class DemoLatents(comfy.latent_formats.LatentFormat):
    """Latents that are the picture, 8 times smaller, so that previews show it."""

    def __init__(self, channels: int, scale_factor: float) -> None:
        self.latent_channels = channels
        self.scale_factor = scale_factor
        self.latent_rgb_factors = [
            [float(row == column) / scale_factor for column in range(3)] for row in range(channels)
        ]


class _Multiple(float):
    """How much wider than the first a block is. Times that width it is a whole number, as the host's layers want it."""

    def __mul__(self, width: int) -> int:
        return round(float(self) * width)

    __rmul__ = __mul__


class TextModel(comfy.clip_model.CLIPTextModel):
    """The host's CLIP with as many words as the config says; the host itself knows but CLIP's vocabulary."""

    def __init__(self, config_dict: dict[str, Any], dtype: Any, device: Any, operations: Any) -> None:
        super().__init__(config_dict, dtype, device, operations)
        count, width = config_dict["vocab_size"], config_dict["hidden_size"]
        self.set_input_embeddings(operations.Embedding(count, width, dtype=dtype, device=device))


def _tokenizer(config: Mapping[str, Any]) -> Any:
    """What makes the host's tokenizer with the demo's vocabulary."""
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
            f"it has {len(vocabulary)} words between {given}, and the text encoder {config['vocab_size']} and {expected}",
        )
    one = partial(
        comfy.sd1_clip.SDTokenizer,
        tokenizer_path=str(folder),
        tokenizer_class=CLIPTokenizerFast,  # the slow one of transformers 4 does not read tokenizer.json
        embedding_size=config["hidden_size"],
    )
    return partial(comfy.sd1_clip.SD1Tokenizer, tokenizer=one)


def _clip_patcher(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    return load_clip(disable_dynamic).patcher


def _vae_patcher(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    return load_vae().patcher  # the host has no other kind either


def _config(part: str, *keys: str) -> dict[str, Any]:
    """These values of the config of one of the models."""
    path = FOLDER / part / "config.json"
    with _reading(path):
        data = json.loads(path.read_text(encoding="utf-8"))
        return {key: data[key] for key in keys}


def _tensors(path: Path) -> dict[str, Tensor]:
    with _reading(path):
        return comfy.utils.load_torch_file(str(path), safe_load=True)


def _check(path: Path, given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Every tensor of the model is there, none is left over, and every shape is right."""
    problems = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of the wrong shape": [
            name for name in expected if name in given and given[name].shape != expected[name].shape
        ],
    }
    listed = [f"{len(names)} {kind}: {', '.join(names[:SHOWN])}" for kind, names in problems.items() if names]
    if listed:
        raise _damaged(path, "; ".join(listed))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong with the content of a file becomes a DemoError."""
    try:
        yield
    except (DemoError, MemoryError):
        raise
    except Exception as error:  # readers fail in many ways on foreign bytes
        raise _damaged(
            path,
            "it is missing" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}",
        ) from error


def _damaged(path: Path, reason: str) -> DemoError:
    return DemoError(
        f"The demo's models cannot be loaded, because {path} is missing or damaged ({reason}). Reinstall ComfyUI-IFAdapter."
    )
