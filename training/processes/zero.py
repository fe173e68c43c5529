"""DeepSpeed's ZeRO: gradients and the optimizer's state divided between the processes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import DTYPES, LoopConfig
from ..state_files import OtherStateError
from .weights import DEEPSPEED, WholeWeights, autocast_forward, precision, replace_scalars

STAGES = (1, 2)


class ZeroWeights(WholeWeights):
    """Whole float32 weights, with gradients (stage 2) and the optimizer's state divided by DeepSpeed.

    DeepSpeed gets the trained weights only, so the frozen base model keeps its precision. It takes the
    steps itself, in the backward pass, and skips those whose gradient is not finite.
    """

    divides = True

    def prepare(self, objective: nn.Module, config: LoopConfig) -> tuple[Any, Any]:
        plugin = self.accelerator.state.deepspeed_plugin
        if plugin.zero_stage not in STAGES:
            raise ValueError(f"The accelerate config has zero_stage {plugin.zero_stage}; expected 1 or 2.")
        if config.mixed_precision == "fp16":
            raise ValueError("mixed_precision is fp16. With DeepSpeed train with bf16 or no.")
        self.dtype = DTYPES[config.mixed_precision]
        plugin.deepspeed_config |= {
            "train_micro_batch_size_per_gpu": 1,  # only for its log
            "gradient_accumulation_steps": config.accumulation,
            "gradient_clipping": config.max_gradient_norm,
            "zero_force_ds_cpu_optimizer": False,
        }
        objective.to(self.accelerator.device)
        hide_frozen(objective)
        replace_scalars(objective)
        autocast_forward(objective, self.autocast)
        engine, optimizer = super().prepare(objective, config)
        self.engine = engine
        self.steps_alone = True
        return engine, optimizer

    def autocast(self) -> AbstractContextManager[Any]:
        return precision(self.accelerator.device, self.dtype)

    def clip(self, norm: float) -> Tensor:
        """DeepSpeed has clipped them already. The norm is infinite if it skipped the step."""
        found = self.engine.get_global_grad_norm()
        return torch.as_tensor(float(found), device=self.accelerator.device)

    @property
    def optimizers(self) -> list[Any]:
        return []

    def check(self, folder: Path) -> None:
        """Raises OtherStateError without DeepSpeed's files, or with those of another number of processes."""
        found = len(list((folder / DEEPSPEED).glob("*_optim_states.pt")))
        if found != self.accelerator.num_processes:
            of = f"by {found} processes" if found else "without DeepSpeed"
            raise OtherStateError(f"{folder} was saved {of}. Resume it so.")

    def save(self, folder: Path) -> None:
        self.engine.save_checkpoint(str(folder), DEEPSPEED, save_latest=False)

    def load(self, folder: Path) -> None:
        self.engine.load_checkpoint(str(folder), DEEPSPEED)


def hide_frozen(module: nn.Module) -> None:
    """Make the modules without trained weights plain attributes, which are no part of the module."""
    for name, child in list(module.named_children()):
        if any(parameter.requires_grad for parameter in child.parameters()):
            hide_frozen(child)
        elif isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            continue
        elif any(True for _ in child.parameters()):
            delattr(module, name)
            module.__dict__[name] = child
