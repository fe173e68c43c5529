"""Size, load time and memory of an adapter as large as the release, and its fit to ComfyUI's SDXL.

    python benchmarks/release_size.py FOLDER
        needs 7 GB of disk and 5 GB of memory
    COMFYUI_PATH=... path/to/ComfyUI/.venv/bin/python benchmarks/release_size.py FOLDER --host
        needs 12 GB of memory

The first command writes spd_adapter.bin with the key names and shapes of the release (method: arXiv
2409.08240) and random weights, converts it, and loads each file in a fresh process. With --host,
the loader node loads the converted file, and ComfyUI's SDXL UNet (random weights, bfloat16, 32 x 32
latent) runs with and without the adapter. Existing files in FOLDER are reused.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Indices of the attention processors that the release adapts.
SDXL_PROCESSORS = [48 + 20 * attention + 2 * block + 1 for attention in range(3) for block in range(4)]
SDXL_PROCESSORS += [121, 123, 125, 127]
# ComfyUI's settings of SDXL's UNet that `comfy.supported_models.SDXL` leaves open.
SDXL_UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "num_head_channels": 64,
    "num_classes": "sequential",
    "use_spatial_transformer": True,
    "legacy": False,
}
MIB = 1024 * 1024


def release_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Parts, key names and shapes of the released checkpoint."""
    text, dim, inner, mlp, width = 2048, 2560, 20 * 128, 4 * 2560, 1280
    resampler: dict[str, tuple[int, ...]] = {
        "latents": (1, 4, dim),
        "proj_in.weight": (dim, text),
        "proj_in.bias": (dim,),
    }
    resampler |= {"proj_out.weight": (text, dim), "proj_out.bias": (text,)}
    resampler |= {
        f"{norm}.{part}": (size,)
        for norm, size in (("norm_out", text), ("attention_norm", dim))
        for part in ("weight", "bias")
    }
    for layer in range(4):
        attention, gate = f"layers.{layer}.0.", f"layers.{layer}.1."
        resampler |= {
            f"{attention}{norm}.{part}": (dim,) for norm in ("norm1", "norm2") for part in ("weight", "bias")
        }
        resampler |= {
            attention + "to_q.weight": (inner, dim),
            attention + "to_kv.weight": (2 * inner, dim),
            attention + "to_out.weight": (dim, inner),
        }
        resampler |= {attention + "q_norm.weight": (128,), attention + "k_norm.weight": (128,)}
        resampler |= {
            gate + "gate_proj.weight": (mlp, dim),
            gate + "up_proj.weight": (mlp, dim),
            gate + "down_proj.weight": (dim, mlp),
        }
    layer_shapes: dict[str, tuple[int, ...]] = {
        "alpha": (),
        "to_k_ap.weight": (width, text),
        "to_v_ap.weight": (width, text),
        "q_norm.weight": (64,),
        "k_norm.weight": (64,),
        "cbam.cam.linear.0.weight": (width // 16, width),
        "cbam.cam.linear.0.bias": (width // 16,),
        "cbam.cam.linear.2.weight": (width, width // 16),
        "cbam.cam.linear.2.bias": (width,),
        "cbam.sam.conv.weight": (1, 2, 7, 7),
        "conv.weight": (1, width, 1, 1),
        "conv.bias": (1,),
    }
    sizes = ((0, 512, 768), (2, 768, 768), (4, 768, text))
    return {
        "text_proj_model": resampler,
        "adapter_modules": {
            f"{processor}.{key}": shape
            for processor in SDXL_PROCESSORS
            for key, shape in layer_shapes.items()
        },
        "pos_net": {f"linears_position.{index}.weight": (out, into) for index, into, out in sizes}
        | {f"linears_position.{index}.bias": (out,) for index, _, out in sizes},
    }


def write_release_file(path: Path) -> None:
    """Write random weights in the format of the release."""
    import torch

    torch.manual_seed(0)
    weights = {
        part: {key: 0.02 * torch.randn(shape) for key, shape in shapes.items()}
        for part, shapes in release_shapes().items()
    }
    torch.save(weights, path)


def peak_mib() -> float:
    """Peak resident memory of this process so far, in MiB (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def load_and_report(path: Path) -> None:
    """Load one file in this process and print its size, load time and peak memory."""
    from ifadapter_core.checkpoint import build_adapter
    from ifadapter_core.storage import load_weights

    before, start = peak_mib(), time.perf_counter()
    adapter = build_adapter(load_weights(path))
    # The sum reads every weight, which may be memory-mapped.
    checksum = sum(float(parameter.detach().sum()) for parameter in adapter.parameters())
    seconds = time.perf_counter() - start
    count = sum(parameter.numel() for parameter in adapter.parameters())
    size, extra = path.stat().st_size / MIB, peak_mib() - before
    print(
        f"{path.name}: {size:.0f} MiB, {count / 1e6:.0f} M weights, loaded and read in {seconds:.1f} s, "
        f"peak memory {extra:.0f} MiB above the start (checksum {checksum:.3f})"
    )


def fit_host(folder: Path) -> None:
    """Run the loader, semantic map and apply nodes with ComfyUI's full SDXL architecture."""
    import asyncio
    import tempfile

    # Start ComfyUI's modules in this process, with the adapter's folder as models/ifadapter.
    host = Path(os.environ["COMFYUI_PATH"]).resolve()
    base = Path(tempfile.mkdtemp(prefix="ifadapter-"))
    (base / "models").mkdir()
    (base / "models" / "ifadapter").symlink_to(folder.resolve())
    sys.argv = ["main.py", "--cpu", "--base-directory", str(base)]
    sys.path.insert(0, str(host))
    os.chdir(host)
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.model_patcher
    import comfy.supported_models
    import torch

    import nodes

    asyncio.run(nodes.load_custom_node(str(ROOT), module_parent="custom_nodes"))
    node = nodes.NODE_CLASS_MAPPINGS
    start = time.perf_counter()
    ifadapter = node["IFAdapterLoader"].execute("spd_adapter.safetensors").args[0]
    print(f"IFAdapterLoader: {time.perf_counter() - start:.1f} s")

    # SDXL's UNet with random weights.
    cpu = torch.device("cpu")
    sdxl = comfy.supported_models.SDXL(
        {**comfy.supported_models.SDXL.unet_config, **SDXL_UNET, "dtype": torch.bfloat16}
    )
    sdxl.set_inference_dtype(torch.bfloat16, None)
    model = sdxl.get_model({}, "", device="cpu").eval().requires_grad_(False)
    for parameter in model.diffusion_model.parameters():
        parameter.normal_(0, 0.02)
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)

    with torch.inference_mode():
        # Encode two instances and patch the model.
        texts = torch.randn(2, 3, 77, 2048)
        mask = (torch.arange(77) < 12).long().expand(2, -1)
        boxes = torch.tensor([[0.1, 0.2, 0.5, 0.9], [0.4, 0.3, 0.9, 0.8]])
        start = time.perf_counter()
        tokens = ifadapter.model.encode_instances(texts, mask, texts[:, 0, 11], boxes)
        print(f"resampler, 2 instances and the null condition: {time.perf_counter() - start:.1f} s")
        semantic_map = node["IFAdapterSemanticMap"].execute(tokens).args[0]
        start = time.perf_counter()
        patched = node["IFAdapterApply"].execute(patcher, ifadapter, semantic_map, 1.0, 0.0, 1.0).args[0]
        layers = patched.model_options["transformer_options"]["patches_replace"]["attn2"]
        print(f"IFAdapterApply: {time.perf_counter() - start:.1f} s, {len(layers)} layers patched")

        # One UNet call without and with the adapter.
        shapes = ((2, 4, 32, 32), (2, 77, 2048), (2, 2816))
        x, context, y = (torch.randn(shape, dtype=torch.bfloat16) for shape in shapes)
        timesteps = torch.tensor([500.0, 500.0])
        outputs = []
        for name, used in (("unpatched", patcher), ("with the adapter", patched)):
            options = {
                **used.model_options.get("transformer_options", {}),
                "cond_or_uncond": [1, 0],
                "sigmas": torch.tensor([7.0]),
            }
            start = time.perf_counter()
            output = model.diffusion_model(x, timesteps, context, y, transformer_options=options).float()
            seconds, finite = time.perf_counter() - start, bool(output.isfinite().all())
            print(f"UNet call, 2 rows of 32 x 32, {name}: {seconds:.1f} s, finite: {finite}")
            outputs.append(output)
        change = (outputs[1] - outputs[0]).abs().mean() / outputs[0].abs().mean()
        print(f"the adapter changes the prediction by {float(change):.1%} on average")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the weight files")
    parser.add_argument("--host", action="store_true", help="run ComfyUI's SDXL architecture instead")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load_and_report(options.load)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    release, converted, half = (
        options.folder / name
        for name in ("spd_adapter.bin", "spd_adapter.safetensors", "spd_adapter_fp16.safetensors")
    )
    if not release.exists():
        write_release_file(release)
    for target, flags in ((converted, []), (half, ["--fp16"])):
        if not target.exists():
            subprocess.run(
                [sys.executable, "-m", "ifadapter_core.convert", str(release), str(target), *flags],
                cwd=ROOT,
                check=True,
            )
    if options.host:
        fit_host(options.folder)
        return
    for path in (release, converted, half):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, __file__, str(options.folder), "--load", str(path)], env=environment, check=True
        )


if __name__ == "__main__":
    main()
