"""What the UNet is told of a batch: the sizes of its crops, and texts that were encoded before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import send_to_device

from ifadapter_diffusers.base_model import TEXT_ENCODERS, VAE, SizeConditioning
from ifadapter_diffusers.randomness import seeded_generator
from tiny_models import SIZE, Batches, adapter_stage, layout, sd, sdxl
from training.adapter_stage import AdapterStage
from training.config import AdapterLoss
from training.objective.denoising import LayoutBatch
from training.objective.text_states import encode_texts

SIZES = [
    SizeConditioning((600, 800), (0, 3), (SIZE, SIZE)),
    SizeConditioning((40, 30), (2, 0), (SIZE, SIZE)),
]


def given_to_the_unet(stage: AdapterStage, batch: LayoutBatch) -> list[dict[str, Any]]:
    """The keyword arguments of each call of the UNet in a loss."""
    seen: list[dict[str, Any]] = []
    hook = stage.base.unet.register_forward_pre_hook(
        lambda _module, _args, keywords: seen.append(keywords), with_kwargs=True
    )
    stage.objective(batch, seeded_generator(0))
    hook.remove()
    return seen


@pytest.mark.parametrize("noises", [1, 3])
@pytest.mark.parametrize("encoded", [False, True])
def test_sdxl_is_told_the_size_of_each_crop(words: Path, noises: int, encoded: bool) -> None:
    """In each row, also of pictures that have several."""
    stage = adapter_stage(words, AdapterLoss(noises=noises), sdxl(words))
    batch = Batches(2)[1]._replace(sizes=SIZES)
    if encoded:
        batch = batch._replace(text=encode_texts(stage.base, batch.layouts, (-2, -4, -6)))
    (given,) = given_to_the_unet(stage, batch)
    rows = [[600, 800, 0, 3, SIZE, SIZE]] * noises + [[40, 30, 2, 0, SIZE, SIZE]] * noises
    assert given["added_cond_kwargs"]["time_ids"].tolist() == rows


def test_without_sizes_pictures_are_neither_scaled_nor_cropped(words: Path) -> None:
    (given,) = given_to_the_unet(adapter_stage(words, AdapterLoss(), sdxl(words)), Batches(2)[1])
    assert given["added_cond_kwargs"]["time_ids"].tolist() == [[SIZE, SIZE, 0, 0, SIZE, SIZE]] * 2


def test_stable_diffusion_1_is_told_no_size(words: Path) -> None:
    (given,) = given_to_the_unet(adapter_stage(words), Batches(2)[1]._replace(sizes=SIZES))
    assert not given.get("added_cond_kwargs")


@pytest.mark.parametrize("drop", [0.0, 0.5, 1.0])
def test_encoded_texts_have_the_loss_of_their_texts(stage: AdapterStage, drop: float) -> None:
    stage.objective.loss = AdapterLoss(drop_local=drop, drop_global=drop, noises=2)
    batch = Batches(4)[1]
    text = encode_texts(stage.base, batch.layouts, stage.adapter.config.settings.text_depths)
    expected = stage.objective(batch, seeded_generator(2))
    assert torch.equal(stage.objective(batch._replace(text=text), seeded_generator(2)), expected)


def test_encoded_texts_of_pictures_without_boxes(stage: AdapterStage) -> None:
    batch = LayoutBatch([layout(0, 0), layout(1, 0)], Batches(2)[0].latents)
    text = encode_texts(stage.base, batch.layouts, (-2,))
    assert text.phrases is None
    expected = stage.objective(batch, seeded_generator(2))
    assert torch.equal(stage.objective(batch._replace(text=text), seeded_generator(2)), expected)


def test_encoded_texts_move_with_their_batch(stage: AdapterStage) -> None:
    batch = Batches(2)[1]
    moved = send_to_device(batch._replace(text=encode_texts(stage.base, batch.layouts, (-2,))), "meta")
    assert moved.text.captions.states.device.type == "meta"
    assert moved.text.empty.states.device.type == "meta"
    assert moved.text.phrases.phrase_embeds.device.type == "meta"
    assert moved.layouts == batch.layouts


@pytest.mark.parametrize("make", [sd, sdxl])
def test_parts_that_are_set_aside_still_sample(words: Path, make: Any) -> None:
    """They are no part of the model that is trained, so they do not move to its device."""
    whole, stage = (adapter_stage(words, pipeline=make(words)) for _ in range(2))
    stage.base.set_aside(VAE, TEXT_ENCODERS)
    assert stage.base.texts_aside
    names = [name for name, _ in stage.objective.named_parameters()]
    assert not [name for name in names if "vae" in name or "text_encoder" in name]
    stage.objective.to("meta")
    assert {weight.device.type for weight in stage.base.vae.parameters()} == {"cpu"}
    assert {weight.device.type for weight in stage.base.text_encoders.parameters()} == {"cpu"}
    stage = adapter_stage(words, pipeline=make(words))
    stage.base.set_aside(VAE, TEXT_ENCODERS)
    assert stage.sheet(seeded_generator(1)).tobytes() == whole.sheet(seeded_generator(1)).tobytes()


def test_parts_that_are_set_aside_visit_the_device_of_the_model(
    words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While they are needed, also after an error. Here the device keeps no values."""
    base = adapter_stage(words, pipeline=sdxl(words)).base
    base.set_aside(VAE, TEXT_ENCODERS)
    base.to("meta")
    moves: list[tuple[str, str]] = []
    for name in (VAE, TEXT_ENCODERS):
        record = lambda device, name=name: moves.append((name, str(device)))  # noqa: E731
        monkeypatch.setattr(getattr(base, name), "to", record)
    base.encode(torch.zeros(1, 3, SIZE, SIZE))
    assert moves == [(VAE, "meta"), (VAE, "cpu")]
    moves.clear()
    with pytest.raises(RuntimeError), base.present(TEXT_ENCODERS):
        raise RuntimeError
    assert moves == [(TEXT_ENCODERS, "meta"), (TEXT_ENCODERS, "cpu")]
