"""Config files: the shipped ones load and describe the adapters they name; errors name the wrong key."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers import UNet2DConditionModel

import training.__main__ as command
from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import release_name
from ifadapter_core.config import LayerConfig
from ifadapter_core.storage import load_weights
from tiny_models import sd
from training.config import AdapterLoss, load_config
from training.config_reader import CONFIGS
from training.new_adapter import adapter_config

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))

SDXL: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD15: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768}  # and diffusers' defaults


def unet(config: dict[str, Any]) -> UNet2DConditionModel:
    """A UNet of full size on the meta device, without memory for weights."""
    with torch.device("meta"):
        return UNet2DConditionModel(**config)


def release_shapes() -> dict[str, tuple[int, ...]]:
    spec = importlib.util.spec_from_file_location("release_size", ROOT / "benchmarks" / "release_size.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        f"{part}.{name}": shape
        for part, shapes in module.release_shapes().items()
        for name, shape in shapes.items()
    }


def test_there_is_a_config_for_each_base() -> None:
    assert SHIPPED == ["demo", "sd15", "sdxl", "shapes", "shapes_gpu"]


@pytest.mark.parametrize("name", ["sd15", "sdxl"])  # shapes: see tests/shapes
def test_shipped_configs_load_by_name_and_by_path(name: str) -> None:
    config = load_config(name)
    assert config == load_config(str(CONFIGS / f"{name}.yaml")) == command.load(name, [])
    assert config.base is not None
    assert config.folder is not None
    assert config.output == f"runs/{name}"


def test_sdxl_has_the_shapes_of_the_release() -> None:
    config = adapter_config(unet(SDXL), 2048, load_config("sdxl").adapter.shape)
    assert [layer.processor for layer in config.layers] == [
        *(48 + 20 * attention + 2 * block + 1 for attention in range(3) for block in range(4)),
        *(120 + 2 * block + 1 for block in range(4)),
    ]
    assert {
        (layer.heads, layer.head_dim, layer.token_width, layer.gate_width, layer.gate_kernel)
        for layer in config.layers
    } == {(20, 64, 2048, 80, 7)}
    adapter = IFAdapter(config, device=torch.device("meta"))
    assert {
        release_name(name): tuple(tensor.shape) for name, tensor in adapter.state_dict().items()
    } == release_shapes()
    assert config.tokens_per_instance == 13
    assert config.settings.slots == 10


def test_sd15_adapts_the_coarsest_layers() -> None:
    config = adapter_config(unet(SD15), 768, load_config("sd15").adapter.shape)
    assert config.layers == tuple(
        LayerConfig(processor, 8, 160, 768, 80, 7) for processor in (13, 15, 17, 31)
    )
    assert config.resampler.heads * config.resampler.head_dim == config.resampler.width == 1280


@pytest.mark.parametrize("name", ["sdxl", "sd15"])
def test_the_papers_settings(name: str) -> None:
    config = load_config(name).adapter
    assert config.loss == AdapterLoss(drop_local=0.15, drop_global=0.3, box_weight=1.0, noises=1)
    assert (config.loop.learning_rate, config.loop.schedule, config.loop.steps) == (1e-4, "constant", 100_000)
    processes = {"sdxl": 8, "sd15": 1}[name]
    assert config.batch_size * config.loop.accumulation * processes == 160


def test_overrides_replace_settings() -> None:
    config = load_config(
        "sdxl",
        [
            "adapter.loop.steps=7",
            "adapter.loop.learning_rate=5e-5",
            "base=here",
            "adapter.shape.blocks=[mid_block]",
        ],
    )
    assert (config.adapter.loop.steps, config.adapter.loop.learning_rate, config.base) == (7, 5e-5, "here")
    assert config.adapter.shape.blocks == ("mid_block",)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("adapter.loop.step=7", "sdxl.yaml: adapter: loop: unknown: step. The keys are steps, "),
        (
            "adapter.loop.steps=many",
            "sdxl.yaml: adapter: loop: steps is 'many'; expected a value of type int",
        ),
        ("adapter.loop.steps=1.5", "steps is 1.5; expected a value of type int"),
        ("adapter.loop.steps=true", "steps is 'true'; expected a value of type int"),
        ("adapter.loop.learning_rate=fast", "learning_rate is 'fast'; expected a value of type float"),
        ("adapter.gradient_checkpointing=2", "gradient_checkpointing is 2; expected a value of type bool"),
        ("adapter.loop.mixed_precision=fp8", "mixed_precision is 'fp8'; expected one of no, bf16, fp16"),
        ("adapter.shape.blocks=mid_block", "blocks is 'mid_block'; expected a list"),
        ("adapter.loop.schedule=step", "schedule is 'step'; expected one of constant, linear, cosine, "),
        ("adapter.loop.optimizer=sgd", "optimizer is 'sgd'; expected one of adamw, adamw8bit"),
        ("adapter.loop.trackers=wandb", "trackers is 'wandb'; expected a list"),
        ("adapter.shape.blocks=[[1]]", r"blocks\[0\] is \[1\]; expected a value of type str"),
        ("adapter.shape=", "shape is None; expected a section with keys"),
        ("folder={path: x}", "folder: missing: size. The keys are path, size"),
        ("folder={path: x, sizes: 1}", r"missing: size\..*\n.*folder: unknown: sizes\."),
        (
            "adapter.loop.steps.more=1",
            "'adapter.loop.steps.more=1' sets a key inside a value that is not a section",
        ),
        ("adapter.loop.steps", "'adapter.loop.steps' is not an override; write key=value"),
        ("base=[a", "base=.a is not YAML"),
    ],
)
def test_errors_name_the_key_and_the_expected_value(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config("sdxl", [setting])


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is None; expected a section"), ("a: [", "is not YAML"), ("output: x", "missing: adapter")],
)
def test_invalid_config_files_are_errors_naming_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"own\.yaml.*{message}"):
        load_config(str(tmp_path / "own.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "output: x\nadapter:\n  batch_size: 2\nbase: y\nadapter:\n  samples: 1\n",
            "own.yaml has the key adapter twice in one section, in lines 2 and 5. Keep one.",
        ),
        (
            "output: x\nadapter:\n  loop:\n    steps: 1\n    'steps': 2\n",
            "own.yaml has the key steps twice in one section, in lines 4 and 5. Keep one.",
        ),
        (
            "folder: {path: a, path: b}",
            "own.yaml has the key path twice in one section, in line 1. Keep one.",
        ),
        ("output: [{a: 1, a: 1}]", "own.yaml has the key a twice in one section, in line 1. Keep one."),
    ],
)
def test_a_key_that_is_there_twice_is_an_error_naming_its_lines(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ValueError, match="twice") as raised:
        load_config(str(tmp_path / "own.yaml"))
    assert str(raised.value) == message


def test_an_override_with_a_key_twice_is_an_error_and_the_last_of_two_overrides_counts() -> None:
    override = "adapter.loop={steps: 1, steps: 2}"
    with pytest.raises(
        ValueError, match=r"^adapter\.loop=.*has the key steps twice in one section, in line 1"
    ):
        load_config("sdxl", [override])
    twice = load_config("sdxl", ["adapter.loop.steps=1", "adapter.loop.steps=2"])
    assert twice.adapter.loop.steps == 2


def test_merged_sections_may_repeat_a_key(tmp_path: Path) -> None:
    """YAML's merge keys: a section's own values replace those of the section that it takes over."""
    shape = yaml.safe_load((CONFIGS / "sd15.yaml").read_text("utf-8"))["adapter"]["shape"]
    text = "output: x\n" + yaml.safe_dump({"adapter": {"shape": shape}})
    text += "  batch_size: 1\n  loop:\n    <<: &usual\n      steps: 5\n      warmup: 3\n    steps: 7\n"
    (tmp_path / "own.yaml").write_text(text)
    loop = load_config(str(tmp_path / "own.yaml")).adapter.loop
    assert (loop.steps, loop.warmup) == (7, 3)


def test_an_unknown_config_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no config sd3\. .*sd15, sdxl, shapes"):
        load_config("sd3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adapter", "--config", "sd15", "adapter.loop.stepps=1"], "unknown: stepps"),
        (["adapter", "--config", "sd15", "folder.path=nowhere"], "There is no folder nowhere"),
        (["adapter", "--config", "sd15", "folder.size=500"], "size is 500; expected a multiple of 64"),
        (["adapter", "--config", "sd15", "folder=null"], "names no pictures"),
        (["adapter", "--config", "sd15", "base=null"], "names no base model"),
        (["unet", "--config", "sd15"], "stage unet belongs to the drawn world"),
    ],
)
def test_the_command_prints_errors_and_exits_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_accelerate")
def test_the_command_trains_on_a_folder_deterministically(tmp_path: Path) -> None:
    make_picture(tmp_path / "pictures")
    sd(tmp_path / "words").save_pretrained(tmp_path / "base")
    shape = {
        "blocks": ["mid_block"],
        "transformer_blocks": 1,
        "width": 16,
        "heads": 2,
        "resampler_layers": 1,
        "queries": 2,
    }
    config = {
        "base": str(tmp_path / "base"),
        "folder": {"path": str(tmp_path / "pictures"), "size": 64},
        "adapter": {
            "batch_size": 2,
            "samples": 1,
            "shape": {**shape, "frequencies": 4, "position_width": 8},
            "loop": {"steps": 2, "workers": 1},
        },
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    results = []
    for name in ("one", "two"):
        torch.manual_seed(len(results))  # the global random state must not matter
        command.main(["adapter", "--config", str(tmp_path / "own.yaml"), f"output={tmp_path / name}"])
        results.append(
            load_weights(tmp_path / name / "adapter" / "weights" / "ifadapter.safetensors").tensors
        )
        assert (tmp_path / name / "adapter" / "samples" / "step_000002.png").exists()
    assert all(torch.equal(tensor, results[1][name]) for name, tensor in results[0].items())


def test_ctrl_c_prints_how_to_resume(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", stop)
    with pytest.raises(SystemExit) as stopped:
        command.main(["adapter", "--config", "sd15"])
    assert stopped.value.code == 130
    assert "The same command resumes the run" in capsys.readouterr().err


def make_picture(folder: Path) -> None:
    from PIL import Image

    folder.mkdir(exist_ok=True)
    Image.new("RGB", (80, 70), (200, 30, 40)).save(folder / "a.png")
    (folder / "a.json").write_text(
        '{"caption": "a circle", "annotations": [{"box": [10, 10, 50, 40], "caption": "a red circle"}]}'
    )
