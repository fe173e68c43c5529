"""One setting for all property tests: the same examples in every run, and no verdict that hangs on the clock."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "core", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")

torch.set_num_threads(1)  # the tensors are tiny
