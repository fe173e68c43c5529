"""Outputs of the demo's models in diffusers: ``diffusers_reference.py FOLDER REQUEST ANSWER``.

Run by demo/test_against_diffusers.py with a Python that has diffusers. Independent of the nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from ifadapter_core.checkpoint import build_adapter
from ifadapter_core.layout_formats import from_json
from ifadapter_core.storage import load_weights
from ifadapter_diffusers.adapted_unet import AdaptedUNet, RowGroup
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.sampling import guided, layout_tokens

STEPS, GUIDANCE = 20, 2.0
# The last alpha of the schedule is 0. The host divides by alphas, so it uses this value instead.
TERMINAL = 4.8973451890853435e-08


@torch.no_grad()
def answer(folder: Path, request: dict[str, Tensor], text: str) -> dict[str, Tensor]:
    """Outputs of text encoder, adapter, UNet and autoencoder, by name.

    request: ``latents`` (T, C, h, w) of unit variance, ``timesteps`` (T,), ``picture`` (1, 3, H, W)
    in 0..1. text: the layout as JSON.
    """
    base = BaseModel.from_pretrained(str(folder))
    picture, latents, timesteps = request["picture"], request["latents"], request["timesteps"]
    layout = from_json(text, picture.shape[-1], picture.shape[-2])
    size = (layout.height, layout.width)
    conditioning = base.condition([""], size).join(base.condition([layout.prompt], size))
    alphas = base.scheduler.alphas_cumprod[timesteps].clamp(min=TERMINAL)

    def denoised(unet: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Tensor]:
        """Denoised latents from the UNet's velocity, for the negative and the positive prompt."""
        rows = []
        for x, timestep, alpha in zip(latents, timesteps, alphas, strict=True):
            both = torch.stack([x, x])
            rows.append(alpha.sqrt() * both - (1 - alpha).sqrt() * unet(both, timestep.expand(2)))
        uncond, cond = torch.stack(rows).unbind(1)
        return {"uncond": uncond, "cond": cond}

    plain = denoised(lambda x, t: base.unet(x, t, conditioning.text_states).sample)
    adapted = AdaptedUNet(base.unet, build_adapter(load_weights(folder / "ifadapter.safetensors")).float())
    tokens = layout_tokens(adapted.adapter, base, layout)
    strengths = tuple(instance.strength for instance in layout.instances)
    group = RowGroup((0, 1), torch.stack([tokens.uncond, tokens.cond]), tokens.boxes, strengths)

    def predict(x: Tensor, timesteps: Tensor) -> Tensor:
        return adapted(x, timesteps, conditioning, [group])

    with_adapter = denoised(predict)
    return {
        "alphas": alphas,
        "text_uncond": conditioning.text_states[:1],
        "text_cond": conditioning.text_states[1:],
        "tokens_uncond": tokens.uncond,
        "tokens_cond": tokens.cond,
        **{f"plain_{row}": value for row, value in plain.items()},
        **{f"adapted_{row}": value for row, value in with_adapter.items()},
        "sampled": guided(predict, base.scheduler, latents[:1], STEPS, GUIDANCE),
        "encoded": base.encode(picture * 2 - 1),
        "decoded": (base.decode(latents[:1]) / 2 + 0.5).clamp(0, 1),
    }


if __name__ == "__main__":
    folder, asked, given = map(Path, sys.argv[1:])
    with safe_open(asked, framework="pt") as file:
        layout = file.metadata()["layout"]
    save_file(
        {
            name: value.float().contiguous()
            for name, value in answer(folder, load_file(asked), layout).items()
        },
        given,
    )
