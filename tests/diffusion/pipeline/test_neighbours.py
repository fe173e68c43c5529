"""What else a pipeline may have: IP-Adapters, LoRAs, other processors, offloading, compiled parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from accelerate import disk_offload
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0, SlicedAttnProcessor
from safetensors.torch import save_file
from torch import Tensor, nn

from ifadapter_diffusers.pipeline import IFAdapterPipeline
from pipeline_cases import CAT, DOG, TOLERANCE, Case, Row, draw, equations, prompts, same

ROWS: Sequence[Row] = [(CAT, False), (CAT, True)]


def check(case: Case, **options: Any) -> Tensor:
    """Compare with the equations around the present processors. Returns the latents."""
    with equations(case, case.pipe, ROWS):
        expected = draw(case.pipe, None, **prompts([CAT], **options))
    got = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT, **options)
    assert same(got, expected)
    return got


def load_ip_adapter(pipe: Any) -> None:
    generator = torch.Generator().manual_seed(7)

    def random(*shape: int) -> Tensor:
        return 0.3 * torch.randn(shape, generator=generator)

    width = pipe.unet.config.cross_attention_dim
    projection = {
        "proj.weight": random(4 * width, 8),
        "proj.bias": random(4 * width),
        "norm.weight": random(width),
        "norm.bias": random(width),
    }
    layers = {
        f"{number}.to_{part}_ip.weight": random(32, width)
        for number, name in enumerate(pipe.unet.attn_processors)
        if "attn2" in name
        for part in ("k", "v")
    }
    pipe.unet._load_ip_adapter_weights([{"image_proj": projection, "ip_adapter": layers}], False)


def test_an_ip_adapter_acts_as_well(case: Case) -> None:
    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    alone = draw(ifadapter, CAT)
    load_ip_adapter(case.pipe)
    image = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(8))
    got = check(case, ip_adapter_image_embeds=[image])
    assert same(draw(ifadapter, CAT, ip_adapter_image_embeds=[image]), got)
    assert (got - alone).abs().max() > 50 * TOLERANCE * got.abs().max()


class LowRank(nn.Module):
    """A LoRA around a layer, as PEFT puts it in the layer's place."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = layer
        self.down = nn.Linear(layer.in_features, 2, bias=False)
        self.up = nn.Linear(2, layer.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.up(self.down(x))


def test_layers_replaced_after_the_adapter_was_loaded(case: Case) -> None:
    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    before = draw(ifadapter, CAT)
    torch.manual_seed(6)
    for name, module in list(case.pipe.unet.named_modules()):
        if name.endswith("attn2"):
            module.to_q, module.to_out[0] = LowRank(module.to_q), LowRank(module.to_out[0])
    case.pipe.unet.requires_grad_(False)
    got = check(case)
    assert same(draw(ifadapter, CAT), got)
    assert (got - before).abs().max() > 50 * TOLERANCE * got.abs().max()


def test_a_lora_with_its_strength(case: Case, tmp_path: Path) -> None:
    """Through diffusers' own loader, on the UNet and the text encoders, at the strength of the call."""
    generator = torch.Generator().manual_seed(9)
    weights: dict[str, Tensor] = {}
    encoders = {"text_encoder": case.pipe.text_encoder}
    if hasattr(case.pipe, "text_encoder_2"):
        encoders["text_encoder_2"] = case.pipe.text_encoder_2
    for prefix, model in {"unet": case.pipe.unet, **encoders}.items():
        for name, module in model.named_modules():
            if name.endswith(("to_q", "to_out.0", "q_proj", "out_proj")):
                shapes = {"A": (2, module.in_features), "B": (module.out_features, 2)}
                for letter, shape in shapes.items():
                    weights[f"{prefix}.{name}.lora_{letter}.weight"] = torch.randn(shape, generator=generator)
    save_file(weights, tmp_path / "lora.safetensors")
    case.pipe.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    scaled = draw(ifadapter, CAT, cross_attention_kwargs={"scale": 0.3})
    full = draw(ifadapter, CAT)
    assert (scaled - full).abs().max() > 50 * TOLERANCE * full.abs().max()

    names = case.pipe.get_active_adapters()
    case.pipe.set_adapters(names, 0.3)
    expected = check(case)
    assert same(scaled, expected)
    case.pipe.unload_lora_weights()


@pytest.mark.parametrize("processor", [AttnProcessor, AttnProcessor2_0, lambda: SlicedAttnProcessor(1)])
def test_other_processors(case: Case, processor: Any) -> None:
    case.pipe.unet.set_attn_processor(processor())
    check(case)


def test_fused_projections(case: Case) -> None:
    expected = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT)
    case.pipe.fuse_qkv_projections()
    got = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT)
    assert same(got, expected)


def test_all_layers_keep_their_processors_and_fused_attention(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet, calls = case.pipe.unet, []
    fused = F.scaled_dot_product_attention

    def attend(*args: Any, **kwargs: Any) -> Tensor:
        calls.append(args[0].shape)
        return fused(*args, **kwargs)

    before = dict(unet.attn_processors)
    during: list[dict[str, Any]] = []
    handle = unet.register_forward_pre_hook(lambda *_: during.append(dict(unet.attn_processors)))
    monkeypatch.setattr(F, "scaled_dot_product_attention", attend)
    draw(IFAdapterPipeline(case.pipe, case.adapter), CAT, num_inference_steps=1)
    handle.remove()
    assert during
    assert all(each == before for each in during)
    assert dict(unet.attn_processors) == before
    in_unet = [shape for shape in calls if shape[2] != 77]  # the text encoders have 77 queries
    assert len(in_unet) >= len(before) * len(during)


@pytest.mark.slow
def test_weights_that_are_elsewhere_between_the_calls(case: Case, tmp_path: Path) -> None:
    """Offloaded to a disk: on "meta" but for the moment in which a layer runs."""
    expected = draw(IFAdapterPipeline(case.pipe, case.adapter), [CAT, DOG])
    models = {name: part for name, part in case.pipe.components.items() if isinstance(part, nn.Module)}
    for name, model in models.items():
        disk_offload(model, str(tmp_path / name), execution_device=torch.device("cpu"))
    assert {model.device.type for model in models.values()} == {"meta"}
    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    for _ in range(2):
        assert same(draw(ifadapter, [CAT, DOG]), expected)
    assert next(case.adapter.parameters()).device.type == "cpu"


def test_offloaded_in_groups(case: Case) -> None:
    expected = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT)
    cpu = torch.device("cpu")
    case.pipe.enable_group_offload(onload_device=cpu, offload_device=cpu, offload_type="leaf_level")
    assert same(draw(IFAdapterPipeline(case.pipe, case.adapter), CAT), expected)


def test_offloaded_model_by_model(case: Case) -> None:
    expected = draw(IFAdapterPipeline(case.pipe, case.adapter), CAT)
    case.pipe.enable_model_cpu_offload(device="cpu")
    assert same(draw(IFAdapterPipeline(case.pipe, case.adapter), CAT), expected)


@pytest.mark.slow
def test_compiled_parts(sdxl_case: Case) -> None:
    pipe = sdxl_case.pipe
    expected = draw(IFAdapterPipeline(pipe, sdxl_case.adapter), CAT, output_type="pt")
    pipe.text_encoder = torch.compile(pipe.text_encoder, backend="eager")
    pipe.vae.decode = torch.compile(pipe.vae.decode, backend="eager")
    got = draw(IFAdapterPipeline(pipe, sdxl_case.adapter), CAT, output_type="pt")
    assert (got - expected).abs().max() < 1e-4


@pytest.mark.parametrize("how", ["wrapped", "in place", "blocks"])
def test_a_compiled_unet_is_an_error(sdxl_case: Case, how: str) -> None:
    pipe = sdxl_case.pipe
    ifadapter = IFAdapterPipeline(pipe, sdxl_case.adapter)
    if how == "wrapped":
        pipe.unet = torch.compile(pipe.unet, backend="eager")
    elif how == "in place":
        pipe.unet.compile(backend="eager")
    else:
        pipe.unet.mid_block.attentions[0].compile(backend="eager")
    for attempt in (lambda: draw(ifadapter, CAT), lambda: IFAdapterPipeline(pipe, sdxl_case.adapter)):
        with pytest.raises(ValueError, match="UNet is compiled"):
            attempt()


class _Merging:
    """A processor that merges pairs of cells, as token merging does."""

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        merged = hidden_states.unflatten(1, (-1, 2)).mean(dim=2)
        return AttnProcessor2_0()(attn, merged, *args, **kwargs).repeat_interleave(2, dim=1)


def test_merged_cells_are_an_error(sdxl_case: Case) -> None:
    unet = sdxl_case.pipe.unet
    unet.set_attn_processor(
        {
            name: _Merging() if "attn2" in name else processor
            for name, processor in unet.attn_processors.items()
        }
    )
    with pytest.raises(ValueError, match=r"expected 2 rows of 8 x 12 cells.*token merging"):
        draw(IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter), CAT)


class _WithoutProjections:
    """A processor that leaves the layer out."""

    def __call__(self, _attn: Any, hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
        return torch.zeros_like(hidden_states)


def test_layers_that_the_processors_leave_out_are_named(
    sdxl_case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    unet = sdxl_case.pipe.unet
    left_out = "mid_block.attentions.0.transformer_blocks.0.attn2"
    unet.set_attn_processor({**unet.attn_processors, f"{left_out}.processor": _WithoutProjections()})
    draw(IFAdapterPipeline(sdxl_case.pipe, sdxl_case.adapter), CAT)
    assert f"did not act in 1 of {len(sdxl_case.adapter.config.layers)} layers ({left_out})" in caplog.text


def test_a_failed_call_leaves_the_pipeline_as_it_was(case: Case) -> None:
    expected = draw(case.pipe, None, **prompts([CAT]))

    def fail(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    ifadapter = IFAdapterPipeline(case.pipe, case.adapter)
    with pytest.raises(KeyboardInterrupt):
        draw(ifadapter, CAT, callback_on_step_end=fail)
    assert same(draw(case.pipe, None, **prompts([CAT])), expected)
    hooks = [
        module for module in case.pipe.unet.modules() if module._forward_hooks or module._forward_pre_hooks
    ]
    assert not hooks
