"""The nodes of the pack, and the entry point for ComfyUI."""

import logging

from comfy_api.latest import ComfyExtension, io

from .apply import IFAdapterApply
from .batch_maps import IFAdapterBatchMaps
from .demo_models import IFAdapterDemoModels
from .encode import IFAdapterEncode
from .host.files import register_folder
from .host.second_copy import warn_of_second_copy
from .layouts.captions import IFAdapterCaptions
from .layouts.layout import IFAdapterLayout
from .layouts.layout_crop import IFAdapterLayoutCrop
from .layouts.layout_prompt import IFAdapterLayoutPrompt
from .layouts.outputs import IFAdapterLayoutOutputs
from .layouts.regional import IFAdapterRegionalConditioning
from .loader import IFAdapterLoader
from .pictures.check import IFAdapterCheck
from .pictures.crops import IFAdapterCrops
from .pictures.paste import IFAdapterPaste
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
            IFAdapterLayoutPrompt,
            IFAdapterCaptions,
            IFAdapterCrops,
            IFAdapterLayoutCrop,
            IFAdapterPaste,
            IFAdapterCheck,
            IFAdapterLayoutOutputs,
            IFAdapterRegionalConditioning,
        ]


async def comfy_entrypoint() -> IFAdapterExtension:
    try:
        warn_of_second_copy("IFAdapterLoader")
        register_folder()
        return IFAdapterExtension()
    except Exception:  # the host logs a failing entry point without its traceback
        logging.exception("IFAdapter: the node pack could not be loaded")
        raise
