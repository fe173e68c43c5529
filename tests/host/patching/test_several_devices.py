"""Several GPUs, as the host's MultiGPU node shares the work; here two CPU devices stand for them."""

from __future__ import annotations

import importlib
from typing import Any

import comfy.model_management
import pytest
import torch

import oracle
import small_models
from sampling import assert_alike, observed, sample, warnings_of

DEVICES = [torch.device("cpu"), torch.device("cpu", 1)]


def load_base() -> Any:
    """A MODEL that the host can load again for another device."""
    patcher = small_models.small_model(output_scale=20.0)
    patcher.cached_patcher_init = (load_base, ())
    return patcher


@pytest.fixture
def split(host, monkeypatch):
    """The host's node, which gives each device some of the conditionings of a call."""
    if not (host / "comfy" / "multigpu.py").exists():
        pytest.skip("this host has no such node")
    monkeypatch.setattr(
        comfy.model_management, "get_all_torch_devices", lambda exclude_current=False: list(DEVICES)
    )
    node = importlib.import_module("comfy_extras.nodes_multigpu").MultiGPUCFGSplitNode
    return lambda model: node.execute(model, 2)[0]


@pytest.mark.parametrize("order", ["before", "behind"])
def test_work_split_between_devices(apply, tokens, term, model, split, order, caplog):
    base = load_base()
    patched = split(apply(tokens, model=base)) if order == "behind" else apply(tokens, model=split(base))
    used: set[Any] = set()
    got = sample(observed(patched, lambda options: used.add(options.get("multigpu_thread_device"))))
    assert used == set(DEVICES)
    assert_alike(got, sample(oracle.patch(model, term)), sample(model))
    assert not warnings_of(caplog)


def test_host_can_load_the_adapter_again(ifadapter):
    load, arguments = ifadapter.cached_patcher_init
    for second in (load(*arguments), load(*arguments, disable_dynamic=True)):
        assert second.model is not ifadapter.model
        assert not second.is_dynamic() if hasattr(second, "is_dynamic") else True
        weights, expected = second.model.state_dict(), ifadapter.model.state_dict()
        assert weights.keys() == expected.keys()
        assert all(weights[name].equal(expected[name]) for name in expected)


def test_adapter_on_another_device(ifadapter):
    if not hasattr(ifadapter, "deepclone_multigpu"):
        pytest.skip("this host loads a model for one device only")
    second = ifadapter.deepclone_multigpu(new_load_device=DEVICES[1])
    assert second.load_device == DEVICES[1]
    assert second.model is not ifadapter.model
