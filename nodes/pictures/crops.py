import logging
from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ...ifadapter_core.crops.instances import QUESTIONS, cut_instances, questions_about
from ...ifadapter_core.crops.sources import pictures_of, source_layouts
from ...ifadapter_core.layout import Layout
from ..inputs import bbox_format_input, only_value
from ..types import BoxesType, ElementsType, LayoutType, NumbersType, PlaceType, SegsType


class IFAdapterCrops(io.ComfyNode):
    """Cuts each instance out of a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterCrops",
            display_name="IFAdapter Crops",
            category="IFAdapter/picture",
            description="Cuts each instance of a layout, or each detected box, out of a picture, with what "
            "the following nodes need: its description, its mask, a question about it, and the layout in "
            "the crop. The following nodes run once for each crop.",
            search_aliases=[
                "crop boxes",
                "crop by bbox",
                "detailer",
                "detail pass",
                "inpaint crop",
                "segments",
                "adetailer",
                "face detailer",
                "crop and stitch",
            ],
            is_input_list=True,
            inputs=[
                io.Image.Input("image", tooltip="The picture, a batch, or a list of pictures."),
                LayoutType.Input(
                    "layout",
                    optional=True,
                    tooltip="The layout of the picture. One layout for all pictures, or one for each.",
                ),
                io.MultiType.Input(
                    "boxes",
                    [BoxesType, ElementsType, NumbersType, SegsType],
                    optional=True,
                    tooltip="Boxes from a detector, in place of a layout: one frame for all pictures, or one "
                    "for each. Their labels are the descriptions.",
                ),
                io.Float.Input(
                    "context",
                    default=0.15,
                    min=0.0,
                    max=4.0,
                    step=0.01,
                    optional=True,
                    tooltip="How much of the surroundings is cut out too, on each side: a part of the box's "
                    "longer side.",
                ),
                io.Int.Input(
                    "size",
                    default=1024,
                    min=64,
                    max=4096,
                    step=8,
                    optional=True,
                    tooltip="Each crop is resized to about size x size pixels in its own proportions: 1024 "
                    "for SDXL. The sides are multiples of 64, below a size of 512 of 8.",
                ),
                io.Combo.Input(
                    "question",
                    options=list(QUESTIONS),
                    default="describe",
                    optional=True,
                    tooltip="What the questions ask a vision-language model. describe: what the crop shows, "
                    "for IFAdapter Captions. check: whether it fits its description, for IFAdapter Check.",
                ),
                bbox_format_input(),
            ],
            outputs=[
                io.Image.Output(
                    display_name="crops",
                    is_output_list=True,
                    tooltip="One picture for each instance: those of the first picture from back to front, "
                    "then those of the next.",
                ),
                io.String.Output(
                    display_name="descriptions",
                    is_output_list=True,
                    tooltip="The description of each instance, as a prompt.",
                ),
                io.Mask.Output(
                    display_name="masks",
                    is_output_list=True,
                    tooltip="The box of each instance in its crop, for IFAdapter Paste.",
                ),
                io.String.Output(
                    display_name="questions",
                    is_output_list=True,
                    tooltip="A question about each crop for a vision-language model, for Generate Text.",
                ),
                LayoutType.Output(
                    display_name="layouts",
                    is_output_list=True,
                    tooltip="The layout in each crop, for IFAdapter Encode or the all-in-one node.",
                ),
                PlaceType.Output(
                    display_name="places",
                    is_output_list=True,
                    tooltip="Where each crop belongs, for IFAdapter Paste.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: list[Tensor],
        layout: list[Layout] | None = None,
        boxes: list[Any] | None = None,
        context: Sequence[float] = (0.15,),
        size: Sequence[int] = (1024,),
        question: Sequence[str] = ("describe",),
        bbox_format: Sequence[str] = ("xywh",),
    ) -> io.NodeOutput:
        layouts, notices = source_layouts(image, layout, boxes, only_value("bbox_format", bbox_format))
        reading = cut_instances(
            pictures_of(image), layouts, only_value("context", context), only_value("size", size)
        )
        for notice in (*notices, *reading.notices):
            logging.warning("IFAdapter Crops: %s", notice)
        crops = reading.crops
        return io.NodeOutput(
            [crop.picture for crop in crops],
            [crop.description for crop in crops],
            [crop.mask for crop in crops],
            questions_about(crops, only_value("question", question)),
            [crop.layout for crop in crops],
            [crop.place for crop in crops],
        )
