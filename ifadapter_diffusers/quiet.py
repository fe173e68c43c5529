"""Keeps a command's output free of what diffusers and transformers say about themselves."""

from __future__ import annotations

import os

for variable in ("DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY"):  # read when they are imported
    os.environ.setdefault(variable, "error")


def hide_loading_bars() -> None:
    """Hide the progress bars of loading and saving models; those of downloads stay."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
