"""The learning rate of each step, by the schedules of diffusers."""

from __future__ import annotations

import torch
from diffusers.optimization import get_scheduler

from ..config import LoopConfig


class LearningRate:
    """The learning rate of a step. Without a state, so a resumed run needs none.

    Time limits (``LoopConfig.minutes``) stretch the decay: diffusers' schedule is read at the larger of
    the fractions of steps and of time.
    """

    def __init__(self, config: LoopConfig) -> None:
        self.config = config
        # Only the schedule's factor is used: the optimizer that it asks for is not the one that trains.
        bare = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
        name = "constant_with_warmup" if config.schedule == "constant" else config.schedule
        scheduler = get_scheduler(
            name,
            bare,
            num_warmup_steps=config.warmup,
            num_training_steps=config.steps,
            num_cycles=config.cycles,
            power=config.power,
        )
        (self._factor,) = scheduler.lr_lambdas

    def __call__(self, step: int, seconds: float = 0.0) -> float:
        """The rate of a step, counted from 0, that starts after ``seconds`` of the time limit."""
        config = self.config
        if step < config.warmup:
            place: float = step + 1  # diffusers' first step has the rate 0 and changes nothing
        elif config.minutes:
            after = max(config.steps - config.warmup, 1)
            done = max((step - config.warmup) / after, seconds / (60 * config.minutes))
            place = config.warmup + min(done, 1.0) * after
        else:
            place = step
        return config.learning_rate * self._factor(place)
