"""The loss on held-out pictures: the same noises each time, and no effect on the training."""

from __future__ import annotations

import pytest
import torch
from held_out_latents import HeldOutLatents
from PIL import Image

from ifadapter_diffusers.contact_sheet import GAP, TITLE_PX
from ifadapter_diffusers.randomness import seeded_generator
from tiny_models import SIZE, Batches, set_alpha
from training.adapter_stage import AdapterStage
from training.objective.held_out import INSIDE, NOISES, HeldOutLoss
from training.processes.group import Processes


def means(stage: AdapterStage, batch_size: int = 2, adapter: bool = True) -> dict[str, float]:
    measured = HeldOutLoss(stage.objective, HeldOutLatents(), batch_size)
    return measured.means(sum(measured.parts(adapter=adapter)))


def test_the_loss_is_the_same_each_time_and_in_batches_of_any_size(stage: AdapterStage) -> None:
    measured = HeldOutLoss(stage.objective, HeldOutLatents(), 2)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = sum(measured.parts())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    assert torch.equal(sum(measured.parts()), first)
    assert first[1].tolist() == [4 * NOISES, *[5] * NOISES]  # each band has one noise of each picture
    assert means(stage, batch_size=5) == pytest.approx(measured.means(first), rel=1e-5)


def test_processes_share_the_pictures(stage: AdapterStage) -> None:
    measured = HeldOutLoss(stage.objective, HeldOutLatents(), 2)
    parts = [list(measured.parts(one_of(process, 7))) for process in range(7)]  # two have none
    assert torch.allclose(sum(part for each in parts for part in each), sum(measured.parts()), rtol=1e-5)
    for count in (2, 3, 7):  # sharded weights need as many passes in each
        assert len({len(list(measured.parts(one_of(process, count)))) for process in range(count)}) == 1


def one_of(index: int, count: int) -> Processes:
    processes = Processes()
    processes.index, processes.count = index, count
    return processes


def test_the_loss_is_the_error_of_the_prediction(stage: AdapterStage) -> None:
    """Of a base model that predicts zero, the error is that of the noise: one."""
    stage.base.unet.conv_out.weight.data.zero_()
    stage.base.unet.conv_out.bias.data.zero_()
    found = means(stage)
    assert found.keys() == {"loss", INSIDE, "t000-249", "t250-499", "t500-749", "t750-999"}
    assert all(value == pytest.approx(1.0, abs=0.1) for value in found.values())


def test_the_base_models_loss_is_that_of_closed_gates(stage: AdapterStage) -> None:
    set_alpha(stage.adapter, 1.0)
    base = means(stage, adapter=False)
    assert means(stage) != base
    set_alpha(stage.adapter, 0.0)
    assert means(stage) == pytest.approx(base, rel=1e-5)


def test_measuring_leaves_the_next_training_step_as_it_is(stage: AdapterStage) -> None:
    batch = Batches(2)[0]
    before = stage.objective(batch, seeded_generator(1))
    sum(HeldOutLoss(stage.objective, HeldOutLatents(), 2).parts())
    assert torch.equal(stage.objective(batch, seeded_generator(1)), before)
    assert before.requires_grad


def test_the_sheet_compares_the_base_model_and_the_adapter(stage: AdapterStage) -> None:
    """Three rows with titles. With closed gates the two rows of pictures are the same."""
    set_alpha(stage.adapter, 0.0)
    closed = rows(stage.sheet(seeded_generator(3)))
    assert closed[1] == closed[2] != closed[0]
    set_alpha(stage.adapter, 3.0)
    _, base, adapted = rows(stage.sheet(seeded_generator(3)))
    assert base == closed[1] != adapted


def rows(sheet: Image.Image) -> list[bytes]:
    """The pictures of each row of a sheet of two pictures, without the titles."""
    assert sheet.height == 3 * (SIZE + TITLE_PX)
    tops = [TITLE_PX + row * (SIZE + TITLE_PX) for row in range(3)]
    return [sheet.crop((0, top, 2 * SIZE + GAP, top + SIZE)).tobytes() for top in tops]


def test_the_sheets_prompts_are_those_of_the_training(
    stage: AdapterStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[str] = []
    condition = stage.base.condition

    def record(captions: list[str], size: tuple[int, int]) -> object:
        prompts.extend(captions)
        return condition(captions, size)

    monkeypatch.setattr(stage.base, "condition", record)
    stage.sheet(seeded_generator(3))
    assert set(prompts) == {"", *(each.caption for each in stage.layouts)}
    assert all(each.prompt != each.caption for each in stage.layouts)
