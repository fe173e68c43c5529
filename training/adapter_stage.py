"""Training of an IFAdapter on a frozen base model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ifadapter_core.checkpoint import AdapterWeights
from ifadapter_core.layout import Layout
from ifadapter_core.previews import layout_picture
from ifadapter_core.storage import save_weights
from ifadapter_core.tokens import InstanceTokens
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.contact_sheet import titled_rows, to_image
from ifadapter_diffusers.demo_settings import GUIDANCE
from ifadapter_diffusers.sampling import batch_tokens, sample_layouts, unit_noise

from .config import AdapterLoss, AdapterShape
from .new_adapter import new_adapter
from .objective.denoising import InstanceDenoising, LayoutBatch
from .objective.held_out import HeldOutLoss
from .processes.group import ALONE, Processes
from .processes.weights import whole_tensor

SHEET_STEPS = 20  # of the pictures on sample sheets


class AdapterStage:
    """The training stage of an adapter (see ``loop.Stage``).

    batches: index -> ``LayoutBatch``, deterministic.
    layouts: of the sample sheets.
    title: what the layouts are, on the sheets.
    guidance: scale of the classifier-free guidance on the sample sheets.
    init: weights to start from, in place of new ones of ``shape``.
    held_out_loss: measures the loss on held-out pictures, or None.
    settings: of the run, as JSON; they go into the metadata of the saved weights.
    """

    settings: dict[str, Any] | None = None
    held_out_loss: HeldOutLoss | None = None

    def __init__(
        self,
        base: BaseModel,
        shape: AdapterShape,
        loss: AdapterLoss,
        batches: Dataset[LayoutBatch],
        layouts: Sequence[Layout],
        gradient_checkpointing: bool = False,
        guidance: float = GUIDANCE,
        *,
        init: AdapterWeights | None = None,
        title: str = "layouts",
    ) -> None:
        if gradient_checkpointing:
            base.unet.enable_gradient_checkpointing()
        self.base = base
        self.adapter = new_adapter(base, shape, init)
        self.objective = InstanceDenoising(base, self.adapter, loss)
        self.batches: Dataset[Any] = batches
        self.layouts, self.title = list(layouts), title
        self.guidance = guidance
        self._base_pictures: tuple[Tensor, Tensor] | None = None  # noise, pictures

    def sheet(self, generator: torch.Generator, processes: Processes = ALONE) -> Image.Image:
        """Three rows: layouts, and pictures from their captions without and with the adapter.

        The captions are those of the training, without the local descriptions. Both rows of pictures
        start from the same noise. Each process samples a part of the layouts; all get the sheet.
        """
        noise = unit_noise(self.base, self.layouts, generator)
        pictures = self._sample(noise, processes)
        if self._base_pictures is None or not torch.equal(self._base_pictures[0], noise):
            # The base model does not change, so its pictures are sampled once.
            self._base_pictures = (noise, self._sample(noise, processes, adapter=False))
        size = (pictures.shape[-1], pictures.shape[-2])
        return titled_rows(
            {
                self.title: [layout_picture(layout, size) for layout in self.layouts],
                "base model, training prompt": [to_image(picture) for picture in self._base_pictures[1]],
                "with the adapter": [to_image(picture) for picture in pictures],
            }
        )

    def _sample(self, noise: Tensor, processes: Processes, adapter: bool = True) -> Tensor:
        """Pictures (B, 3, H, W) of all layouts."""
        share = processes.share(len(self.layouts))
        layouts = [self.layouts[number] for number in share]
        pictures = sample_layouts(
            self.objective.adapted,
            self.base,
            layouts,
            noise[share],
            SHEET_STEPS,
            self.guidance,
            self.tokens(layouts) if adapter else [self.adapter.no_instances() for _ in layouts],
            prompts=[layout.caption for layout in layouts],
        )
        return processes.join(pictures, len(self.layouts))

    def tokens(self, layouts: Sequence[Layout]) -> list[InstanceTokens]:
        """The tokens of layouts for the sample sheets."""
        return batch_tokens(self.adapter, self.base, layouts)

    def gates(self) -> dict[str, float]:
        """tanh(alpha) of each layer, by the name of its attention in the UNet."""
        names = list(self.base.unet.attn_processors)
        layers: Any = self.adapter.layers
        alphas = (whole_tensor(layer.alpha.detach()).reshape(()) for layer in layers.values())
        values = torch.stack(list(alphas)).float().tanh().tolist()
        return {
            names[int(index)].removesuffix(".attn2.processor"): value
            for index, value in zip(layers, values, strict=True)
        }

    def save(self, folder: Path) -> None:
        """Write ``ifadapter.safetensors`` in float32, for the node Load IFAdapter."""
        folder.mkdir(exist_ok=True)
        state = self.adapter.state_dict().items()
        tensors = {name: tensor.detach().float().cpu() for name, tensor in state}
        metadata = {"training": json.dumps(self.settings)} if self.settings else None
        weights = AdapterWeights(self.adapter.config, tensors)
        save_weights(weights, folder / "ifadapter.safetensors", metadata)
