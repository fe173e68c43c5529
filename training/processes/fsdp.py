"""FSDP: weights, gradients and the optimizer's state divided between the processes.

The states on the disk are those of other trainings: whole weights. So a run may go on with another
way of dividing them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.distributed.fsdp.wrap import size_based_auto_wrap_policy
from torch.distributed.tensor import DTensor, distribute_tensor

from ..config import DTYPES, LoopConfig
from .weights import Result, WholeWeights, autocast_forward, precision, replace_scalars, whole_tensor

# Tensor of the optimizer's state, its weight, number of the weight -> tensor.
Change = Callable[[Tensor, Tensor, int], Tensor]
BLOCKS = ["BasicTransformerBlock"]  # of the UNet, each gathered when its turn comes
ONLY_BLOCKS = (
    "Shard blocks of the UNet only: set fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP and "
    "fsdp_transformer_layer_cls_to_wrap: BasicTransformerBlock."
)
UNET = "base.unet."
EVALUATE = "evaluate"  # name of the method that FSDP takes for a further forward


class ShardedWeights(WholeWeights):
    """Weights divided by torch's ``fully_shard`` (FSDP 2).

    The base model's transformer blocks are gathered one after another, all other weights for the whole
    pass. Arithmetic and precision are those of DDP: gradients are reduced in float32.
    """

    divides = True

    def prepare(self, objective: nn.Module, config: LoopConfig) -> tuple[Any, Any]:
        plugin = self.accelerator.state.fsdp_plugin
        if plugin.fsdp_version != 2:
            raise ValueError("The accelerate config has fsdp_version 1. Set fsdp_version: 2.")
        if plugin.auto_wrap_policy is size_based_auto_wrap_policy:
            raise ValueError(
                f"The accelerate config has fsdp_auto_wrap_policy SIZE_BASED_WRAP. {ONLY_BLOCKS}"
            )
        if config.optimizer != "adamw":
            raise ValueError(
                f"optimizer is {config.optimizer}, which FSDP cannot divide. "
                "Set adapter.loop.optimizer=adamw."
            )
        plugin.mixed_precision_policy = None  # autocast instead, as with DDP
        if plugin.transformer_cls_names_to_wrap is None:
            plugin.transformer_cls_names_to_wrap = BLOCKS
        self.dtype = DTYPES[config.mixed_precision]
        self.shapes = [weight.shape for weight in objective.parameters() if weight.requires_grad]
        replace_scalars(objective)
        autocast_forward(objective, self.autocast)
        prepared, optimizer = super().prepare(objective, config)
        self._check_blocks()
        setattr(prepared, EVALUATE, lambda function: function())
        register_fsdp_forward_method(prepared, EVALUATE)
        return prepared, optimizer

    def _check_blocks(self) -> None:
        """Raises ValueError if FSDP gathers a part by itself whose forward the trainer does not call."""
        for name, module in self.objective.named_modules():
            if isinstance(module, FSDPModule) and name and not name.startswith(UNET):
                kind = type(module).__bases__[-1].__name__
                raise ValueError(f"The accelerate config shards {name} ({kind}) by itself. {ONLY_BLOCKS}")

    def autocast(self) -> AbstractContextManager[Any]:
        return precision(self.accelerator.device, self.dtype)

    def clip(self, norm: float) -> Tensor:
        found = super().clip(norm)
        return whole_tensor(found)

    def part(self, weight: Tensor) -> Tensor:
        return weight.to_local() if isinstance(weight, DTensor) else weight

    def whole(self, part: Tensor, weight: Tensor) -> Tensor:
        if isinstance(weight, DTensor) and not isinstance(part, DTensor):
            part = DTensor.from_local(
                part,
                weight.device_mesh,
                weight.placements,
                run_check=False,
                shape=weight.shape,
                stride=weight.stride(),
            )
        return whole_tensor(part)

    def divide(self, whole: Tensor, weight: Tensor) -> Tensor:
        return self.part(self._sharded(whole, weight))

    def _sharded(self, whole: Tensor, weight: Tensor) -> Tensor:
        if not isinstance(weight, DTensor):
            return whole
        full = whole.reshape(weight.shape).to(weight.device)
        return distribute_tensor(full, weight.device_mesh, weight.placements, src_data_rank=None)

    def run(self, function: Callable[[], Result]) -> Result:
        evaluate: Any = getattr(self.objective, EVALUATE)
        result = evaluate(function)
        for module in self.objective.modules():
            if isinstance(module, FSDPModule):
                module.reshard()  # the weights of the next pass may be others
        return result

    @property
    def optimizers(self) -> list[Any]:
        return [_WholeOptimizer(self)]

    def convert(self, state: dict[str, Any], change: Change) -> dict[str, Any]:
        """The state of the optimizer with each tensor changed that belongs to the elements of a weight."""
        weights = self.trained()
        return {
            "state": {
                number: {
                    key: value if key == "step" else change(value, weights[number], number)
                    for key, value in entry.items()
                }
                for number, entry in state["state"].items()
            },
            "param_groups": state["param_groups"],
        }


class _WholeOptimizer:
    """The optimizer with whole tensors in its state."""

    def __init__(self, weights: ShardedWeights) -> None:
        self.weights = weights

    def state_dict(self) -> dict[str, Any]:
        weights, is_main = self.weights, self.weights.accelerator.is_main_process

        def whole(value: Tensor, weight: Tensor, number: int) -> Tensor:
            full = weights.whole(value, weight).reshape(weights.shapes[number])
            return full.cpu() if is_main else full.new_zeros(0)  # only the main process writes

        return weights.convert(weights.optimizer.state_dict(), whole)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        weights = self.weights
        divided = weights.convert(state, lambda value, weight, _: weights._sharded(value, weight))
        weights.optimizer.load_state_dict(divided)
