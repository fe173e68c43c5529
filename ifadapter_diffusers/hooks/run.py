"""Hooks on a UNet: they read the queries of the adapted layers and add the instance semantic map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ifadapter_core.modules.attention import add_semantic_map

from ..plain_attention import attend
from ..sampling import Control
from .rows import LayoutRows
from .sites import Site


class Run:
    """One call of a pipeline with the adapter.

    The attention processors stay as they are: what the processor of an adapted layer gives to the
    output projection gets the layer's semantic map added, with any attention processor.
    """

    def __init__(
        self,
        rows: LayoutRows,
        control: Control,
        latent_size: tuple[int, int],
        train_timesteps: int,
        is_guided: Callable[[], bool],
    ) -> None:
        """The state of one call.

        latent_size: height and width of the layouts in latent cells.
        train_timesteps: of the scheduler, see ``Control.acts_at``.
        is_guided: whether the pipeline's next UNet call has unconditional rows.
        """
        self._rows, self._control, self._latent_size = rows, control, latent_size
        self._train_timesteps, self._is_guided = train_timesteps, is_guided
        self._guided = self._acts = False
        self._grids: dict[str, tuple[int, int]] = {}
        self._queries: dict[str, Tensor] = {}
        self._calls = self._active_calls = 0
        self._reached: set[str] = set()

    @contextmanager
    def hooked(self, unet: Any, sites: Sequence[Site]) -> Iterator[None]:
        """Put the hooks on a UNet inside the ``with`` block."""
        self._sites = sites
        with ExitStack() as stack:
            handle = unet.register_forward_pre_hook(self._before_unet, with_kwargs=True)
            stack.callback(handle.remove)
            for name in {site.transformer for site in sites}:
                hook = partial(self._before_transformer, name)
                handle = unet.get_submodule(name).register_forward_pre_hook(hook, with_kwargs=True)
                stack.callback(handle.remove)
            for site in sites:
                # The projections of this moment: a loaded LoRA has put its own in their place.
                attention = unet.get_submodule(site.attention)
                handle = attention.to_q.register_forward_hook(partial(self._after_query, site))
                stack.callback(handle.remove)
                handle = attention.to_out[0].register_forward_pre_hook(partial(self._before_output, site))
                stack.callback(handle.remove)
            yield

    def findings(self) -> Iterator[str]:
        """Notices about this call, after its last step."""
        for height, width, boxes in self._rows.smaller_than_a_cell():
            yield (
                f"IFAdapter: at this picture size the adapter works on {width} x {height} cells, and box "
                f"{', '.join(map(str, boxes))} of a layout is smaller than one cell, so its position is "
                "rounded to cells. Use a larger picture or larger boxes."
            )
        if not self._active_calls:
            yield (
                f"IFAdapter: the adapter acted in none of the {self._calls} steps: adapter_start "
                f"{self._control.start_percent:g} and adapter_end {self._control.end_percent:g} leave out "
                "all of their noise levels. Widen the range."
            )
        elif missing := [site.attention for site in self._sites if site.key not in self._reached]:
            yield (
                f"IFAdapter: the adapter did not act in {len(missing)} of {len(self._sites)} layers "
                f"({', '.join(missing)}), because their attention processors did not use the layers' "
                "projections, or the blocks were left out. Use other attention processors."
            )

    def _before_unet(self, _unet: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        latents = args[0] if args else kwargs["sample"]
        timestep = args[1] if len(args) > 1 else kwargs["timestep"]
        self._queries.clear()
        self._guided = self._is_guided()
        expected = self._rows.count(self._guided)
        if latents.shape[0] != expected:
            raise ValueError(
                f"The UNet is called with {latents.shape[0]} rows; expected {expected}: "
                f"{self._rows.count(False)} images, {'with' if self._guided else 'without'} unconditional "
                "rows. Let the pipeline make the batch: give one prompt for each layout, and latents or "
                "pictures for num_images_per_prompt images of each."
            )
        if tuple(latents.shape[-2:]) != self._latent_size:
            raise ValueError(
                f"The picture has {latents.shape[-2]} x {latents.shape[-1]} latent cells (height x width), "
                f"but the layouts have {self._latent_size[0]} x {self._latent_size[1]}. Make the layouts "
                "with the size of the picture, or resize the picture to that of the layouts."
            )
        self._calls += 1
        self._acts = self._control.acts_always or self._control.acts_at(
            torch.as_tensor(timestep).flatten()[0].item(), self._train_timesteps
        )
        self._active_calls += self._acts

    def _before_transformer(
        self, name: str, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        states = args[0] if args else kwargs["hidden_states"]
        self._grids[name] = (states.shape[-2], states.shape[-1])

    def _after_query(self, site: Site, _module: Any, _args: tuple[Any, ...], q: Tensor) -> None:
        if self._acts:
            self._queries[site.key] = q

    def _before_output(self, site: Site, _module: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        q = self._queries.pop(site.key, None)
        if q is None:
            return None
        height, width = self._grids[site.transformer]
        expected = (self._rows.count(self._guided), height * width)
        if tuple(q.shape[:2]) != expected:
            raise ValueError(
                f"The queries of {site.attention} are {tuple(q.shape)}; expected {expected[0]} rows of "
                f"{height} x {width} cells. Something else changes the rows or merges the cells of the UNet, "
                "such as token merging. Remove it for this call."
            )
        self._reached.add(site.key)
        # A copy: the processor may keep what it gave.
        out = args[0].to(q.dtype, copy=True).contiguous()
        plan = self._rows.plan(site.key, q, (height, width), self._guided)
        return (add_semantic_map(q, plan, attend, out), *args[1:])
