"""ComfyUI-IFAdapter: place things in a picture, each with its own features (IFAdapter, arXiv 2409.08240)."""

from importlib.util import find_spec

if find_spec("comfy_api"):  # without a host there are no nodes, and ifadapter_core works by itself
    from .nodes import comfy_entrypoint

    WEB_DIRECTORY = "./web"
    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
