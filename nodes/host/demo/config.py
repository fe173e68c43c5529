"""The demo's models described to the host: everything that subclasses the host's internals.

Imported only when the demo node runs, so that a renamed class of the host costs this node alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import comfy.clip_model
import comfy.latent_formats
import comfy.model_base
import comfy.supported_models

# Keys that are read from diffusers' configs.
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


class DemoConfig(comfy.supported_models.SD15):
    """The host's description of the UNet. It predicts velocities, with zero terminal SNR."""

    unet_extra_config: ClassVar[dict[str, Any]] = {}
    sampling_settings: ClassVar[dict[str, Any]] = {"zsnr": True}

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
                "channel_mult": [_WidthFactor(width / widths[0]) for width in widths],
                "num_res_blocks": [layers] * len(widths),
                "transformer_depth": [depth for depth in down for _ in range(layers)],
                "transformer_depth_middle": 1,
                # Highest resolution first.
                "transformer_depth_output": [depth for depth in reversed(up) for _ in range(layers + 1)],
                # In a UNet of this kind, diffusers gives the number of heads under this key.
                "num_heads": unet["attention_head_dim"],
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
        return False  # the host takes more than 4 input channels for an inpainting model


class DemoLatents(comfy.latent_formats.LatentFormat):
    """RGB latents at 1/8 of the picture's size, so that latent previews show the picture."""

    def __init__(self, channels: int, scale_factor: float) -> None:
        self.latent_channels = channels
        self.scale_factor = scale_factor
        self.latent_rgb_factors = [
            [float(row == column) / scale_factor for column in range(3)] for row in range(channels)
        ]


class _WidthFactor(float):
    """Ratio of a block's width to the first block's. Multiplying by an int rounds to an int.

    The host's layers need integer widths, and the ratios of the demo's UNet are not integers.
    """

    def __mul__(self, width: float) -> int:
        return round(float(self) * width)

    __rmul__ = __mul__


class TextModel(comfy.clip_model.CLIPTextModel):
    """The host's CLIP text model with the config's vocabulary size instead of CLIP's own."""

    def __init__(self, config_dict: dict[str, Any], dtype: Any, device: Any, operations: Any) -> None:
        super().__init__(config_dict, dtype, device, operations)
        count, width = config_dict["vocab_size"], config_dict["hidden_size"]
        self.set_input_embeddings(operations.Embedding(count, width, dtype=dtype, device=device))
