"""The config of a run of the drawn world, and the trainer's command with it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

import training.__main__ as command
from shapes.models.config import load_shapes_config
from shapes.models.stages import DemoRun
from training.config import Config
from training.config_reader import CONFIGS


def test_the_shipped_config_loads_by_name_and_by_path() -> None:
    config = load_shapes_config()
    assert config == load_shapes_config(str(CONFIGS / "shapes.yaml")) == command.load("shapes", [])
    assert config.shapes is not None
    assert config.base is None
    assert config.folder is None
    assert config.output == "runs/shapes"


def test_a_pair_must_have_two_values() -> None:
    with pytest.raises(ValueError, match=r"instances is \[1, 2, 3\]; expected 2 values"):
        load_shapes_config(overrides=["shapes.world.instances=[1,2,3]"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cached=0", "shapes: cached is 0; expected at least 1"),
        ("unet.batch_size=0", "shapes: unet: batch_size is 0; expected at least 1"),
        ("vae.batch_size=0", "shapes: vae: batch_size is 0; expected at least 1"),
        ("world.size=100", "shapes: world.size is 100; expected a multiple of 32"),
        ("world.size=0", "shapes: world: size is 0; expected at least 1"),
        ("world.seed=-1", "shapes: world: seed is -1; expected at least 0"),
        ("world.aspect=0.5", "shapes: world: aspect is 0.5; expected at least 1"),
        ("world.visible=1.5", "shapes: world: visible is 1.5; expected 0 to 1"),
        ("world.crowding=0", "shapes: world: crowding is 0; expected at least 1"),
        ("world.shared=-1", "shapes: world: shared is -1; expected at least 0"),
        ("world.instances=[6,1]", "shapes: world: instances is [6, 1]; expected the minimum"),
        ("world.sides=[0.5,5]", "shapes: world: sides is [0.5, 5.0]; expected the shortest"),
        ("world.sides=[0.6,0.5]", "shapes: world: sides is [0.6, 0.5]; expected the shortest"),
        ("world.shapes=[hexagon]", "shapes: world: shapes is ['hexagon']; expected different ones of circle"),
        ("world.colours=[red,red]", "shapes: world: colours is ['red', 'red']; expected different ones"),
        ("world.patterns=[]", "shapes: world: patterns is []; expected different ones of plain"),
        ("world.backgrounds=[black]", "shapes: world: backgrounds is ['black']; expected different ones"),
    ],
)
def test_wrong_values_are_named_when_the_config_is_read(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_shapes_config(overrides=[f"shapes.{override}"])


@pytest.mark.parametrize(("name", "overrides"), [("sdxl", ()), ("shapes", ("shapes=null",))])
def test_a_config_without_a_drawn_world_is_rejected(name: str, overrides: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"config {name} has no drawn world"):
        load_shapes_config(name, overrides)


def test_the_command_ignores_a_null_section() -> None:
    config = command.load("shapes", ["shapes=null", "base=elsewhere"])
    assert type(config) is Config
    assert config.base == "elsewhere"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adapter", "--config", "shapes", "base=elsewhere"], "names no pictures"),
        (["adapter", "output=nowhere"], "Run `python -m training vae` first"),
    ],
)
def test_the_command_prints_errors_and_exits_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("graphs", [True, False])
def test_a_single_stage_uses_cuda_graphs_if_the_config_says_so(tmp_path: Path, graphs: bool) -> None:
    config = load_shapes_config(overrides=[f"shapes.graphs={graphs}"])
    stage = DemoRun(tmp_path, config.shapes).vae_stage()
    assert stage.objective.graphed_loss.enabled == graphs


@pytest.mark.parametrize("stage", ["vae_stage", "unet_stage", "adapter"])
def test_single_stages_refuse_the_models_from_which_world_starts(tmp_path: Path, stage: str) -> None:
    config = load_shapes_config(overrides=["shapes.init=demo"])
    run = DemoRun(tmp_path, config.shapes)
    make = partial(run.layout_batches, 1) if stage == "adapter" else getattr(run, stage)
    with pytest.raises(ValueError, match=r"shapes\.init is demo, but only the stage world starts from it"):
        make()
