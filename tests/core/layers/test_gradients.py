"""Gradients of all parameters against the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

import reference
from ifadapter_core.checkpoint import build_adapter, read_checkpoint, release_name
from layer_scenes import (
    OTHER_PROCESSOR,
    OTHER_WIDTH,
    OVERLAPPING,
    PROCESSOR,
    WIDTH,
    Scene,
    checkpoint,
    difference,
    exact_checkpoint,
    make_phrases,
    run,
)


def test_gradients_of_all_parameters_match_the_reference() -> None:
    scene = replace(OVERLAPPING, rows=2)
    phrases = make_phrases(11, [5, 11, 3, 8, 6], 11, scene.boxes)
    generator = torch.Generator().manual_seed(12)
    layers = {PROCESSOR: WIDTH, OTHER_PROCESSOR: OTHER_WIDTH}
    queries = {processor: scene.queries(width) for processor, width in layers.items()}
    targets = {
        processor: torch.randn(2, 9 * 12, width, generator=generator) for processor, width in layers.items()
    }

    def loss(encode: Callable[[], Tensor], residual: Callable[[int, Tensor], Tensor]) -> Tensor:
        rows = encode()
        parts = [
            (residual(processor, rows) - target.to(rows)).square().mean()
            for processor, target in targets.items()
        ]
        return torch.stack(parts).sum()

    net = build_adapter(
        read_checkpoint(
            {name: {key: value.clone() for key, value in sd.items()} for name, sd in checkpoint().items()}
        )
    )
    net.train().requires_grad_(True)

    def encode_rows() -> Tensor:
        tokens = net.encode_instances(*phrases.all())
        return torch.stack([tokens.uncond, tokens.cond])

    loss(
        encode_rows,
        lambda processor, rows: run(net, scene, processor=processor, q=queries[processor], tokens=rows),
    ).backward()

    naive = {
        name: {key: value.clone().requires_grad_(True) for key, value in sd.items()}
        for name, sd in exact_checkpoint().items()
    }
    want = phrases.all(torch.float64)
    loss(
        lambda: torch.stack([reference.null_tokens(naive, *want), reference.instance_tokens(naive, *want)]),
        lambda processor, rows: reference.layer_residual(
            reference.part(naive["adapter_modules"], f"{processor}."),
            queries[processor].double(),
            rows,
            scene.boxes,
            9,
            12,
        ),
    ).backward()

    for name, parameter in net.named_parameters():
        part, key = release_name(name).split(".", 1)
        expected = naive[part][key].grad
        assert parameter.grad is not None, name
        assert expected.abs().max() > 0, name
        assert difference(parameter.grad, expected) < 1e-3 * expected.abs().max().item() + 1e-7, name


def test_gradients_are_finite_for_the_null_condition_and_hidden_instances() -> None:
    scene = replace(Scene(torch.tensor([[0.2, 0.2, 0.7, 0.7], [0.0, 0.0, 1.0, 1.0]]), 6, 5), rows=1)
    weights = read_checkpoint(
        {name: {key: value.clone() for key, value in sd.items()} for name, sd in checkpoint().items()}
    )
    net = build_adapter(weights).requires_grad_(True)
    tokens = net.encode_instances(*make_phrases(13, [0, 2], 11, scene.boxes).all())
    run(net, scene, front_hides_back=True, tokens=tokens.uncond[None]).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
