"""Cost of the adapter in ComfyUI with full-size SDXL: setup and sampling steps.

    COMFYUI_PATH=... path/to/ComfyUI/.venv/bin/python benchmarks/host.py
        [--json FILE] [--size 512] [--repeats N]

Random weights, float32, on the CPU; needs 16 GB of memory. A step is one step of ComfyUI's sampler
with guidance: a negative and a positive row, plus one row per region with regional prompts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from release_size import ROOT, SDXL_UNET, release_shapes
from timing import Timing, markdown, side_by_side

START = Path.cwd()  # before start_host changes it; paths on the command line are relative to it
HOST = Path(os.environ["COMFYUI_PATH"]).resolve()
BASE = Path(tempfile.mkdtemp(prefix="ifadapter-"))
DESCRIPTION = "a green sofa with white stripes on it"
REGIONS = 4
ENCODED = (1, 4, 10)  # numbers of instances


def start_host() -> float:
    """Import ComfyUI, then the pack by its loader. Returns the import time of the pack in seconds."""
    sys.path[:0] = [str(HOST)]  # before the pack's root, which has a package `nodes` too
    sys.path.append(str(ROOT))
    os.chdir(HOST)
    arguments, sys.argv = sys.argv, ["main.py", "--cpu", "--base-directory", str(BASE)]
    import comfy.options

    comfy.options.enable_args_parsing()
    import nodes

    sys.argv = arguments
    start = time.perf_counter()
    if not asyncio.run(nodes.load_custom_node(str(ROOT), module_parent="custom_nodes")):
        raise SystemExit("ComfyUI could not import the pack; see the log above.")
    return time.perf_counter() - start


IMPORT_SECONDS = start_host()

import comfy.model_patcher  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.sd  # noqa: E402
import comfy.sdxl_clip  # noqa: E402
import comfy.supported_models  # noqa: E402
import comfy.utils  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import nodes  # noqa: E402
from ifadapter_core.checkpoint import read_checkpoint  # noqa: E402
from ifadapter_core.storage import save_weights  # noqa: E402

CPU = torch.device("cpu")


def boxes(count: int) -> list[tuple[float, float, float, float]]:
    """Boxes x0 y0 x1 y1 in 0..1, sides 0.35, positions deterministically sampled from ``count``."""
    corners = torch.rand(count, 2, generator=torch.Generator().manual_seed(count)) * 0.65
    return [(x, y, x + 0.35, y + 0.35) for x, y in corners.tolist()]


def layout(count: int) -> str:
    """A layout in this pack's JSON format."""
    instances = [
        {"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0, "caption": f"{DESCRIPTION}, number {n}"}
        for n, (x0, y0, x1, y1) in enumerate(boxes(count))
    ]
    return json.dumps({"version": 1, "caption": "a room", "boxes": instances})


def fill(module: nn.Module) -> Any:
    """Fill all weights with uniform random numbers, in place."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.03, 0.03)
    return module.eval().requires_grad_(False)


def run(node_id: str, **inputs: Any) -> Any:
    """Run a node of either API version. Returns its first output."""
    node = nodes.NODE_CLASS_MAPPINGS[node_id]
    return (
        node.execute(**inputs).result[0]
        if hasattr(node, "execute")
        else getattr(node(), node.FUNCTION)(**inputs)[0]
    )


def load_adapter() -> Any:
    """An adapter as large as the release, loaded by the loader node."""
    path = BASE / "models" / "ifadapter" / "full_size.safetensors"
    path.parent.mkdir(parents=True)
    save_weights(
        read_checkpoint(
            {
                part: {key: torch.empty(size).uniform_(-0.03, 0.03) for key, size in tensors.items()}
                for part, tensors in release_shapes().items()
            }
        ),
        path,
    )
    return run("IFAdapterLoader", adapter_name=path.name)


def load_clip() -> Any:
    """SDXL's two text encoders at full size, with random weights."""

    class Target:
        clip = comfy.sdxl_clip.SDXLClipModel
        tokenizer = comfy.sdxl_clip.SDXLTokenizer
        params: ClassVar[dict[str, Any]] = {}

    clip = comfy.sd.CLIP(
        Target,
        parameters=1,
        model_options={"load_device": CPU, "offload_device": CPU, "dtype": torch.float32},
    )
    fill(clip.cond_stage_model)
    return clip


def load_model() -> Any:
    """SDXL's UNet with random weights, as a ComfyUI MODEL."""
    sdxl = comfy.supported_models.SDXL(
        {**comfy.supported_models.SDXL.unet_config, **SDXL_UNET, "dtype": torch.float32}
    )
    sdxl.set_inference_dtype(torch.float32, None)
    model = sdxl.get_model({}, "", device="cpu")
    fill(model.diffusion_model)
    return comfy.model_patcher.ModelPatcher(model, load_device=CPU, offload_device=CPU)


def measure_setup(ifadapter: Any, clip: Any, repeats: int) -> dict[str, Timing]:
    """Time three encodings of a plain prompt, and IFAdapter Encode for each number of instances."""

    def encode(count: int) -> Callable[[], Any]:
        read = run("IFAdapterLayout", layout=layout(count), width=1024, height=1024)
        return lambda: run("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=read)

    prompt = {
        "plain prompt, three times": lambda: [
            clip.encode_from_tokens_scheduled(clip.tokenize(DESCRIPTION)) for _ in range(3)
        ]
    }
    return side_by_side({**prompt, **{f"{count} instances": encode(count) for count in ENCODED}}, repeats)


def sampler(model: Any, positive: Any, negative: Any, size: int) -> Callable[[], Tensor]:
    """A call that runs one step of ComfyUI's sampler."""
    latent = torch.zeros(1, 4, size // 8, size // 8)
    noise = comfy.sample.prepare_noise(latent, 0)
    return lambda: comfy.sample.sample(
        model, noise, 1, 7.0, "euler", "normal", positive, negative, latent, disable_pbar=True, seed=0
    )


def regional(positive: Any, node_id: str, size: int) -> Any:
    """The prompt plus a regional prompt per box, by one of ComfyUI's conditioning nodes."""
    for x0, y0, x1, y1 in boxes(REGIONS):
        region = [[text.clone(), {**extras}] for text, extras in positive]
        if node_id == "ConditioningSetMask":
            mask = torch.zeros(1, size, size)
            mask[:, round(y0 * size) : round(y1 * size), round(x0 * size) : round(x1 * size)] = 1
            region = run(node_id, conditioning=region, mask=mask, set_cond_area="default", strength=1.0)
        else:
            region = run(
                node_id, conditioning=region, x=x0, y=y0, width=x1 - x0, height=y1 - y0, strength=1.0
            )
        positive = positive + region
    return positive


def measure_steps(ifadapter: Any, tokens: dict[int, Any], size: int, repeats: int) -> dict[str, Timing]:
    """Time steps without the adapter, with it, and with regional prompts on the same boxes."""
    model = load_model()
    positive, negative = (
        [[torch.randn(1, 77, 2048), {"pooled_output": torch.randn(1, 1280), "width": size, "height": size}]]
        for _ in "pn"
    )
    calls = {"without": sampler(model, positive, negative, size)}
    for count, instance_tokens in tokens.items():
        semantic_map = run("IFAdapterSemanticMap", tokens=instance_tokens)
        patched = run(
            "IFAdapterApply",
            model=model,
            ifadapter=ifadapter,
            semantic_map=semantic_map,
            strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        )
        calls[f"IFAdapter, {count} instances"] = sampler(patched, positive, negative, size)
    for node_id in ("ConditioningSetMask", "ConditioningSetAreaPercentage"):
        calls[f"{node_id}, {REGIONS} regions"] = sampler(
            model, regional(positive, node_id, size), negative, size
        )
    return side_by_side(calls, repeats)


def table(title: str, times: dict[str, Timing]) -> str:
    """Timings in seconds, with their ratio to the first."""
    first = next(iter(times.values())).median
    rows = [
        [
            name,
            f"{timing.median / 1000:.2f} s",
            f"{timing.low / 1000:.2f} .. {timing.high / 1000:.2f}",
            f"{timing.median / first:.3f}",
        ]
        for name, timing in times.items()
    ]
    return markdown([title, "median", "quartiles", "ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of the adapter in ComfyUI with full-size SDXL.")
    parser.add_argument(
        "--json", type=lambda name: (START / name), help="also write all numbers to this file"
    )
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels")
    parser.add_argument("--repeats", type=int, default=2, help="timed calls, after one warm-up")
    options = parser.parse_args()
    comfy.utils.set_progress_bar_enabled(False)
    print(f"import of the pack: {IMPORT_SECONDS:.2f} s")
    with torch.inference_mode():
        ifadapter, clip = load_adapter(), load_clip()
        setup = measure_setup(ifadapter, clip, options.repeats)
        print(table("setup", setup))
        tokens = {}
        for count in (4, 10):
            read = run("IFAdapterLayout", layout=layout(count), width=options.size, height=options.size)
            tokens[count] = run("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=read)
        del clip
        gc.collect()
        steps = measure_steps(ifadapter, tokens, options.size, options.repeats)
    print(table(f"one step at {options.size} px", steps))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        report = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "size": options.size,
            "import_s": IMPORT_SECONDS,
        }
        report |= {
            name: {key: asdict(timing) for key, timing in times.items()}
            for name, times in (("setup", setup), ("steps", steps))
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
