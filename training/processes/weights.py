"""How the weights and the optimizer's state are divided between the processes: by default not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ..config import LoopConfig
from ..optimization.optimizer import new_optimizer
from ..state_files import OtherStateError

DEEPSPEED = "deepspeed"  # folder of DeepSpeed's files in a state
Result = TypeVar("Result")


class WholeWeights:
    """All weights in each process: one process, or several with DDP.

    The classes for FSDP and ZeRO override what differs. All processes must call the methods together.

    accelerator: of the training.
    divides: whether the modules' weights differ from those that are saved.
    steps_alone: whether the optimizer's wrapper skips steps that are not finite by itself.
    """

    divides = False
    steps_alone = False

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.optimizer: Any = None
        self.objective: nn.Module = nn.Module()

    def prepare(self, objective: nn.Module, config: LoopConfig) -> tuple[Any, Any]:
        """The objective and a new optimizer of its trained weights, as prepared by accelerate.

        Raises ValueError for settings that do not work together.
        """
        self.objective = objective
        optimizer = new_optimizer(self.trained(), config, self.accelerator.device)
        prepared, self.optimizer = self.accelerator.prepare(objective, optimizer)
        self.steps_alone = self.accelerator.scaler is not None
        return prepared, self.optimizer

    def trained(self) -> list[nn.Parameter]:
        """The parameters that are trained; after ``prepare``, as they are divided."""
        return [parameter for parameter in self.objective.parameters() if parameter.requires_grad]

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of a forward pass outside of the objective's own."""
        return self.accelerator.autocast()

    def clip(self, norm: float) -> Tensor:
        """Clip the gradients to a norm; returns the norm () before."""
        return self.accelerator.clip_grad_norm_(self.trained(), norm)

    def part(self, weight: Tensor) -> Tensor:
        """The part of a weight that this process holds, in the same memory."""
        return weight

    def whole(self, part: Tensor, weight: Tensor) -> Tensor:
        """All of a tensor that is divided as a weight is."""
        return part

    def divide(self, whole: Tensor, weight: Tensor) -> Tensor:
        """The part of a tensor that this process holds, divided as a weight is. The inverse of ``whole``."""
        return whole.reshape(weight.shape)

    def run(self, function: Callable[[], Result]) -> Result:
        """Call a function that uses the objective's modules other than by its forward."""
        return function()

    @contextmanager
    def gathered(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Context in which the modules of the main process hold these trained weights, by name."""
        divided = dict(self.objective.named_parameters()) if self.divides else {}
        if self.accelerator.is_main_process:
            for name in divided.keys() & weights.keys():
                self._put(name, nn.Parameter(weights[name], requires_grad=False))
        try:
            yield
        finally:
            if self.accelerator.is_main_process:
                for name in divided.keys() & weights.keys():
                    self._put(name, divided[name])

    def _put(self, name: str, weight: nn.Parameter) -> None:
        owner, _, last = name.rpartition(".")
        setattr(self.objective.get_submodule(owner), last, weight)

    @property
    def optimizers(self) -> list[Any]:
        """What of the optimizer accelerate saves and loads: objects with a state."""
        return [self.optimizer]

    def check(self, folder: Path) -> None:
        """Raises OtherStateError for a state that only another way of dividing the weights can read."""
        if (folder / DEEPSPEED).is_dir():
            raise OtherStateError(f"{folder} was saved with DeepSpeed. Resume with DeepSpeed too.")

    def save(self, folder: Path) -> None:
        """Write what else a resumed run needs into the folder of a state."""

    def load(self, folder: Path) -> None:
        """The counterpart of ``save``."""


def autocast_forward(module: nn.Module, context: Callable[[], AbstractContextManager[Any]]) -> None:
    """Run the forward of a module in a context, as accelerate does for DDP but not for FSDP and ZeRO."""
    forward = module.forward

    def wrapped(*given: Any) -> Any:
        with context():
            return forward(*given)

    setattr(module, "forward", wrapped)  # noqa: B010  (a method, which mypy does not let assign)


def replace_scalars(module: nn.Module) -> None:
    """Replace parameters of shape () by those of shape (1,), which can be divided."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if parameter.dim() == 0:
                value = parameter.detach().reshape(1)
                setattr(part, name, nn.Parameter(value, requires_grad=parameter.requires_grad))


def precision(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Autocast to a precision; none for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def whole_tensor(tensor: Tensor) -> Tensor:
    """All of a tensor that FSDP may have divided. All processes must call it together."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
