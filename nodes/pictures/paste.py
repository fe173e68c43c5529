import logging
from collections.abc import Sequence

from comfy_api.latest import io
from torch import Tensor

from ...ifadapter_core.crops.paste import paste_batches
from ...ifadapter_core.crops.place import Place
from ..inputs import only_value
from ..types import PlaceType


class IFAdapterPaste(io.ComfyNode):
    """Pastes crops back into their picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterPaste",
            display_name="IFAdapter Paste",
            category="IFAdapter/picture",
            description="Pastes the crops of IFAdapter Crops back into their pictures, with soft seams.",
            search_aliases=[
                "paste crops",
                "uncrop",
                "stitch",
                "detailer paste",
                "inpaint stitch",
                "crop and stitch",
            ],
            is_input_list=True,
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="The picture, batch or list that was cut, at any size.",
                ),
                io.Image.Input("crops", tooltip="The crops, one for each place, of any size."),
                PlaceType.Input(
                    "places", tooltip="Where the crops belong, from IFAdapter Crops or Layout Crop."
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="A mask for each crop: only the masked part is pasted. From IFAdapter Crops, the "
                    "box of each instance without its context. Not linked: the whole crop.",
                ),
                io.Int.Input(
                    "feather",
                    default=16,
                    min=0,
                    max=1024,
                    optional=True,
                    tooltip="Width of the soft seam in pixels of the picture, at most a quarter of the "
                    "crop's shorter side there. The edges of the picture stay hard.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    is_output_list=True,
                    tooltip="The pictures with their crops: a picture, batch or list as at the input.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        image: list[Tensor],
        crops: list[Tensor],
        places: list[Place],
        masks: list[Tensor] | None = None,
        feather: Sequence[int] = (16,),
    ) -> io.NodeOutput:
        batches, notices = paste_batches(image, crops, places, masks, only_value("feather", feather))
        for notice in notices:
            logging.warning("IFAdapter Paste: %s", notice)
        return io.NodeOutput(batches)
