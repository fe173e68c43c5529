"""ComfyUI-IFAdapter: instances in boxes, each with its own features (IFAdapter, arXiv 2409.08240)."""

from importlib.util import find_spec

if find_spec("comfy_api"):  # only inside ComfyUI; ifadapter_core works without it
    from .nodes import comfy_entrypoint

    WEB_DIRECTORY = "./web"
    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
