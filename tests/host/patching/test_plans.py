"""Work done once: per run, per UNet call, and in a host that samples in threads."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import comfy.samplers
import pytest
import torch

import oracle
from loaded_pack import pack_module
from sampling import SIZE, cfg_guider, observed, sample


@pytest.fixture
def run_module():
    return pack_module("nodes.host.run")


def python_calls(model: Any) -> Counter[str]:
    """Python functions called in one UNet call of the host in the midst of a run, by file and name."""
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, _argument: Any) -> None:
        if event == "call":
            calls[f"{Path(frame.f_code.co_filename).as_posix()}:{frame.f_code.co_name}"] += 1

    def probing_sampler(denoise: Any, noise: Any, sigmas: Any, extra_args: dict, **_: Any) -> Any:
        level = sigmas[:1].expand(len(noise))
        denoise(noise, level, **extra_args)  # plans are made
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            denoise(noise, level, **extra_args)
        finally:
            sys.setprofile(before)
        return noise

    noise = torch.zeros(1, 4, *SIZE)
    sampler = comfy.samplers.KSAMPLER(probing_sampler)
    cfg_guider(model).sample(noise, noise, sampler, torch.tensor([5.0, 0.0]), disable_pbar=True, seed=7)
    return calls


@pytest.fixture
def application():
    return pack_module("nodes.host.application")


def counted(monkeypatch: Any, owner: Any, name: str) -> list[tuple]:
    """The arguments of every call of a function from now on."""
    calls: list[tuple] = []
    original = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)
    return calls


def test_rows_are_identified_once_per_unet_call(apply, tokens, monkeypatch, application):
    identified = counted(monkeypatch, application, "rows_of")
    unet_calls: list[dict] = []
    sample(observed(apply(tokens), unet_calls.append), steps=3)
    assert len(identified) == len(unet_calls) == 3


def test_every_layer_is_planned_once_per_run(apply, tokens, checkpoint, monkeypatch, application):
    planned = counted(monkeypatch, application, "make_plan")
    packed = counted(monkeypatch, application, "pack_instances")
    layers = {key.split(".")[0] for key in checkpoint["adapter_modules"]}
    patched = apply(tokens)
    for runs in (1, 2):
        sample(patched, steps=3)
        assert len(planned) == runs * len(layers)
        assert len(packed) == runs  # the adapted layers of the small model share a grid


def test_host_code_of_a_layer_is_a_few_python_calls(apply, tokens):
    """On a GPU, the device waits for the host, which issues the operators of each layer."""
    calls = python_calls(apply(tokens))
    own = Counter(
        {name: number for name, number in calls.items() if "/nodes/host/" in name.replace("\\", "/")}
    )
    layers = len(oracle.LAYERS)
    of_each_layer = [name for name, number in own.items() if number >= layers]
    assert sum(own[name] for name in of_each_layer) <= 8 * layers, own
    assert own.total() <= 8 * layers + 30, own


def test_noise_level_is_read_once_per_call_that_bypasses_the_wrapper(apply, tokens, monkeypatch, application):
    checked = counted(monkeypatch, application.AppliedAdapter, "_is_active")
    patched = apply(tokens, start_percent=0.0, end_percent=0.9)
    inputs = oracle.make_inputs(2, 32, 32)
    first = oracle.predict(patched, inputs)
    assert len(checked) == 1
    assert oracle.predict(patched, inputs).equal(first)
    assert len(checked) == 2


def test_second_call_with_the_same_tensor_of_noise_levels_reads_it_again(apply, tokens):
    """A pack may keep the tensor and write the next level into it."""
    patched, inputs = apply(tokens, start_percent=0.0, end_percent=0.5), oracle.make_inputs(2, 32, 32)
    sigma = torch.tensor([14.0])
    sampling = patched.get_model_object("model_sampling")
    levels = (sampling.percent_to_sigma(0.2), sampling.percent_to_sigma(0.8))
    options = {**patched.model_options["transformer_options"], "cond_or_uncond": [1, 0], "sigmas": sigma}
    dtype = patched.model.get_dtype_inference()
    x, context, y = (value.to(dtype) for value in (inputs.x, inputs.context, inputs.y))
    for level in levels:
        sigma.fill_(level)
        with torch.no_grad():
            got = patched.model.diffusion_model(
                x, inputs.timestep, context=context, y=y, transformer_options=options
            )
        assert got.float().equal(oracle.predict(patched, inputs, sigma=level))


class _Planner:
    """Makes names in place of tensors."""

    def pack(self, placement: Any) -> Any:
        return placement.rows

    def cast_weights(self, processor: str, device: torch.device, dtype: torch.dtype) -> Any:
        return processor, dtype

    def make_plan(self, processor: str, weights: Any, packed: Any) -> Any:
        return processor, weights, packed


def test_threads_may_sample_while_another_releases(run_module):
    plans, planner, wrong = run_module.Plans(), _Planner(), []
    stop = threading.Event()

    def work(offset: int) -> None:
        try:
            for number in itertools.count(offset):
                if stop.is_set():
                    return
                rows, layer = (number % 100,), str(number % 7)
                placement = run_module.Placement(rows, 4, 4, torch.device("cpu"))
                plan = plans.plan(planner, layer, plans.place(planner, placement), torch.float32)
                if plan != (layer, (layer, torch.float32), rows):
                    wrong.append(plan)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 1, 50)]
    for thread in threads:
        thread.start()
    for _ in range(3000):
        plans.release()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_number_of_kept_placements_is_bounded(run_module, monkeypatch):
    monkeypatch.setattr(run_module, "MAX_PLACEMENTS", 3)
    plans, planner = run_module.Plans(), _Planner()
    packed = counted(monkeypatch, planner, "pack")
    for number in (0, 1, 2, 1, 2, 3, 1, 0):
        placement = run_module.Placement((number,), 4, 4, torch.device("cpu"))
        assert plans.place(planner, placement).packed == (number,)
    assert [placement.rows[0] for (placement,) in packed] == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("options", [{"uuids": [1, 2, 3]}, {"cond_or_uncond": [0, 1, 1]}, {"uuids": []}])
def test_call_with_fewer_rows_than_conditionings_is_refused(options):
    rows = pack_module("nodes.host.rows")
    call = {"original_shape": (2, 4, 8, 8), **options}
    for in_tagged_run in (False, True):
        with pytest.raises(rows.RowsError, match=r"2 rows for [03] conditionings"):
            rows.rows_of(None, call, 2, in_tagged_run)


def test_adapter_is_left_out_of_such_a_call_with_one_warning(apply, tokens, model, caplog):
    inputs = oracle.make_inputs(2, 32, 32)
    got = oracle.predict(apply(tokens), inputs, chunks=[0, 1, 1])
    assert got.equal(oracle.predict(model, inputs))
    assert caplog.text.count("2 rows for 3 conditionings") == 1
