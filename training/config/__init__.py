"""The settings of a config file as dataclasses.

The files are in ``training/configs``; ``config_reader.py`` reads them.
"""

from .adapter import AdapterConfig, AdapterLoss, AdapterShape
from .folder import CacheConfig, FolderConfig
from .loop import DTYPES, LoopConfig
from .run import Config, load_config

__all__ = [
    "DTYPES",
    "AdapterConfig",
    "AdapterLoss",
    "AdapterShape",
    "CacheConfig",
    "Config",
    "FolderConfig",
    "LoopConfig",
    "load_config",
]
