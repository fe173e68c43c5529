"""The memory that a training takes."""

from __future__ import annotations

import sys

import torch

GIB = 2**30


def memory(device: torch.device) -> dict[str, float]:
    """The most memory so far, in GiB, by name: of the GPU, else of the process where the system tells."""
    if device.type == "cuda":
        return {
            "gpu_gib": torch.cuda.max_memory_allocated(device) / GIB,
            "gpu_held_gib": torch.cuda.max_memory_reserved(device) / GIB,
        }
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return {}
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"process_gib": most * (1 if sys.platform == "darwin" else 1024) / GIB}
