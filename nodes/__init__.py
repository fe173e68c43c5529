"""The nodes of the pack, and how ComfyUI finds them."""

import logging

from comfy_api.latest import ComfyExtension, io

from .apply import IFAdapterApply
from .batch_maps import IFAdapterBatchMaps
from .demo_models import IFAdapterDemoModels
from .encode import IFAdapterEncode
from .host.files import register_folder
from .host.token_counter import register_route
from .layout import IFAdapterLayout
from .loader import IFAdapterLoader
from .semantic_map import IFAdapterSemanticMap
from .simple import IFAdapterSimple


class IFAdapterExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            IFAdapterLoader,
            IFAdapterLayout,
            IFAdapterEncode,
            IFAdapterSemanticMap,
            IFAdapterApply,
            IFAdapterSimple,
            IFAdapterDemoModels,
            IFAdapterBatchMaps,
        ]


async def comfy_entrypoint() -> IFAdapterExtension:
    try:
        register_folder()
        register_route()
        return IFAdapterExtension()
    except Exception:  # the host reports a failing entry point in one line without its cause
        logging.exception("IFAdapter: the node pack could not be loaded")
        raise
