"""Small random models as the host's own objects: an SDXL-shaped MODEL, SDXL's CLIP pair, a VAE.

Needs an imported host. ``reference.make_release_checkpoint`` makes an adapter for these models.
"""

from __future__ import annotations

from typing import Any, ClassVar

import comfy.model_patcher
import comfy.sd
import comfy.sdxl_clip
import comfy.supported_models
import comfy.taesd.taesd
import torch

from small_shapes import ADAPTED_PROCESSORS as ADAPTED_PROCESSORS
from small_shapes import ADAPTED_WIDTH as ADAPTED_WIDTH
from small_shapes import HEAD_DIM, TEXT_WIDTH, TEXT_WIDTHS

CPU = torch.device("cpu")
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 1, 2],
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    "transformer_depth_middle": 2,
    "context_dim": TEXT_WIDTH,
    "use_linear_in_transformer": True,
    "adm_in_channels": TEXT_WIDTHS["clip_g"] + 6 * 256,  # as in SDXL: pooled text and six sizes
    "num_classes": "sequential",
    "use_spatial_transformer": True,
    "legacy": False,
}


def small_model(
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    *,
    cast: torch.dtype | None = None,
    output_scale: float = 0.1,
) -> comfy.model_patcher.ModelPatcher:
    """An SDXL-shaped MODEL with random weights of order 1/sqrt(width). At most 64 x 64 latent cells.

    dtype: data type of the stored weights. cast: data type of the host's computation, if different.
    output_scale: 20 gives predictions of order 1; 0.1 small ones, so that few steps give a picture.
    """
    config = comfy.supported_models.SDXL({**UNET, "dtype": dtype})
    config.unet_config["num_head_channels"] = HEAD_DIM
    config.set_inference_dtype(dtype, cast)
    model = config.get_model({}, "", device="cpu").eval()
    randomize(model.diffusion_model, seed)
    with torch.no_grad():
        last = model.diffusion_model.out[-1].weight
        last.copy_((last.float() * output_scale).to(dtype))
    return comfy.model_patcher.ModelPatcher(model, load_device=CPU, offload_device=CPU)


def small_clip(seed: int = 1, embeddings: str | None = None) -> comfy.sd.CLIP:
    """SDXL's two text encoders with small widths and the original 12 and 32 layers.

    embeddings: folder of textual-inversion files.
    """

    class Tokenizer(comfy.sdxl_clip.SDXLTokenizer):
        def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
            super().__init__(embedding_directory, tokenizer_data or {})
            self.clip_l.embedding_size, self.clip_g.embedding_size = (
                TEXT_WIDTHS["clip_l"],
                TEXT_WIDTHS["clip_g"],
            )

    class Target:
        clip = comfy.sdxl_clip.SDXLClipModel
        tokenizer = Tokenizer
        params: ClassVar[dict[str, Any]] = {}

    sizes = {
        f"{name}_model_config": {
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_attention_heads": 2,
            "projection_dim": width,
        }
        for name, width in TEXT_WIDTHS.items()
    }
    options = {**sizes, "load_device": CPU, "offload_device": CPU, "dtype": torch.float32}
    clip = comfy.sd.CLIP(Target, embedding_directory=embeddings, parameters=1, model_options=options)
    randomize(clip.cond_stage_model, seed)
    return clip


def small_vae(seed: int = 2) -> comfy.sd.VAE:
    """The host's small autoencoder with random weights."""
    network = comfy.taesd.taesd.TAESD()
    randomize(network, seed)
    return comfy.sd.VAE(sd=network.state_dict())


def randomize(module: torch.nn.Module, seed: int) -> None:
    """Set reproducible random weights. Matrices preserve the scale of their input; norms are near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                value = noise / parameter[0].numel() ** 0.5
            elif "norm" in name and name.endswith("weight"):
                value = 1 + 0.1 * noise
            else:
                value = 0.1 * noise
            parameter.copy_(value.to(parameter.dtype))
