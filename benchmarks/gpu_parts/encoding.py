"""Part 4: encoding of instances beside three plain prompts, and loading the adapter to the device."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from layers import boxes_of

from ifadapter_core.checkpoint import AdapterWeights
from ifadapter_core.storage import load_weights, save_weights

from . import comfyui
from .measure import Call, times
from .models import RELEASE, SMALL, Sizes, fill, random_adapter
from .options import Options
from .report import Part, Row

COUNTS = (1, 4, 10)
PLAIN = 3  # prompts
WORDS = "a green sofa with white stripes on it"
TOKENS = 12  # of such a description, with its begin and end
REPEATS = 10


def run(part: Part, options: Options) -> None:
    sizes = SMALL if options.small else RELEASE
    with torch.inference_mode(), tempfile.TemporaryDirectory(prefix="ifadapter-") as folder:
        path = Path(folder) / "adapter.safetensors"
        # float32, as the release's file
        adapter = random_adapter(sizes, options.device, torch.float32)
        tensors = {name: tensor.cpu() for name, tensor in adapter.state_dict().items()}
        save_weights(AdapterWeights(sizes.adapter, tensors), path)
        if comfyui.is_there():
            comfyui.start(options.device)
            part.content["through"] = "ComfyUI"
            make_calls = _in_comfyui
        elif importlib.util.find_spec("transformers"):
            part.content["through"] = "transformers"
            make_calls = _in_transformers
        else:
            part.leave_out("Encoding: neither COMFYUI_PATH nor transformers is there")
            part.row({"what": "adapter file to the device"}, _loading(path, options))
            return
        part.row({"what": "adapter file to the device"}, _loading(path, options))

        def fill_row(row: Row) -> None:
            calls = make_calls(sizes, options, path, adapter)
            row["ms"] = times(calls, options.device, 2 if options.small else REPEATS, seconds=15.0)

        part.row({"what": "encoding"}, fill_row)


def _loading(path: Path, options: Options) -> Callable[[Row], None]:
    """Read, check and move the adapter's file, from the system's cache to the device."""

    def load() -> Any:
        if comfyui.is_there():
            import comfy.model_management

            ifadapter = comfyui.pack("nodes.host.files").load_adapter_file(str(path))
            comfy.model_management.load_models_gpu([ifadapter])
            return ifadapter
        return [tensor.to(options.device) for tensor in load_weights(path).tensors.values()]

    def fill_row(row: Row) -> None:
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            kept = load()
            if options.on_gpu:
                torch.cuda.synchronize(options.device)
            seconds.append(time.perf_counter() - start)
            del kept
        row["seconds"] = sorted(seconds)[1]
        row["mib"] = round(path.stat().st_size / 2**20, 1)

    return fill_row


def _in_comfyui(sizes: Sizes, options: Options, path: Path, _adapter: Any) -> dict[str, Call]:
    """By ComfyUI's CLIP of SDXL and the pack's own encoding."""
    clip = comfyui.load_clip(sizes, options.device, options.dtype)
    ifadapter = comfyui.pack("nodes.host.files").load_adapter_file(str(path))
    layout = comfyui.pack("ifadapter_core.layout")
    encode_layout = comfyui.pack("nodes.host.encoder").encode_layout

    def encode(count: int) -> Call:
        instances = tuple(
            layout.Instance(layout.Box(*box), f"{WORDS}, number {number}")
            for number, box in enumerate(boxes_of("medium", count).tolist())
        )
        chosen = layout.Layout(sizes.picture_px, sizes.picture_px, instances)
        return lambda: encode_layout(ifadapter, clip, chosen)

    def prompts() -> Any:
        return [clip.encode_from_tokens_scheduled(clip.tokenize(WORDS)) for _ in range(PLAIN)]

    return {f"{PLAIN} plain prompts": prompts, **{f"{count} instances": encode(count) for count in COUNTS}}


def _in_transformers(sizes: Sizes, options: Options, _path: Path, adapter: Any) -> dict[str, Call]:
    """By transformers' text encoders of SDXL's sizes, one pass for all descriptions, and the adapter."""
    from transformers import CLIPTextConfig, CLIPTextModel

    def encoder(width: int, layers: int, heads: int) -> Any:
        config = CLIPTextConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            projection_dim=width,
        )
        with torch.device(options.device):
            model = CLIPTextModel(config).to(options.dtype)
        fill(model)
        return model

    full = sizes is RELEASE
    encoders = (
        [encoder(768, 12, 12), encoder(1280, 32, 20)] if full else [encoder(32, 8, 2), encoder(64, 8, 2)]
    )

    def states(rows: int) -> list[Any]:
        ids = torch.full((rows, 77), 49407, device=options.device)
        ids[:, 0], ids[:, 1 : TOKENS - 1] = 49406, 320
        return [model(ids, output_hidden_states=True).hidden_states for model in encoders]

    def encode(count: int) -> Call:
        boxes = boxes_of("medium", count)
        mask = torch.ones(count, TOKENS, dtype=torch.long, device=options.device)

        def call() -> Any:
            per_encoder = states(count)
            depths = [
                torch.cat([hidden[depth][:, :TOKENS] for hidden in per_encoder], dim=-1)
                for depth in sizes.adapter.settings.text_depths
            ]
            texts = torch.stack(depths, dim=1).float()
            return adapter.encode_instances(texts, mask, texts[:, 0, TOKENS - 1], boxes)

        return call

    def prompts() -> Any:
        return [states(1) for _ in range(PLAIN)]

    return {f"{PLAIN} plain prompts": prompts, **{f"{count} instances": encode(count) for count in COUNTS}}
