"""The settings of a config file as dataclasses.

The files are in ``training/configs``; ``config_reader.py`` reads them.
"""

from .adapter import AdapterConfig, AdapterLoss, AdapterShape
from .folder import FolderConfig
from .loop import DTYPES, LoopConfig
from .run import Config, load_config

__all__ = [
    "DTYPES",
    "AdapterConfig",
    "AdapterLoss",
    "AdapterShape",
    "Config",
    "FolderConfig",
    "LoopConfig",
    "load_config",
]
