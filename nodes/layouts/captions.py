import logging
from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ...ifadapter_core.language.captions import caption_linked
from ...ifadapter_core.layout import Layout
from ...ifadapter_core.layout_formats import to_json
from ..inputs import bbox_format_input, only_value, picture_size, side_input
from ..types import BoxesType, ElementsType, LayoutType, NumbersType, SegsType


class IFAdapterCaptions(io.ComfyNode):
    """Makes a layout of boxes and of a language model's description of each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterCaptions",
            display_name="IFAdapter Captions",
            category="IFAdapter/layout",
            description="Makes a layout of boxes and their descriptions, which a vision-language model wrote "
            "for the crops of a picture. What the model adds to a description, such as reasoning or "
            "quotation marks, is removed.",
            search_aliases=[
                "picture to layout",
                "image to layout",
                "captions to layout",
                "describe boxes",
                "region captions",
                "vision language model",
            ],
            is_input_list=True,
            inputs=[
                io.String.Input(
                    "captions",
                    force_input=True,
                    tooltip="A list with one description for each box, in the order of the boxes: what "
                    "Generate Text writes for the crops of IFAdapter Crops.",
                ),
                io.MultiType.Input(
                    "boxes",
                    [BoxesType, ElementsType, NumbersType, SegsType],
                    optional=True,
                    tooltip="The boxes that the crops were made from, of one picture. Their labels are used "
                    "where the model gave no description.",
                ),
                LayoutType.Input(
                    "layout",
                    optional=True,
                    tooltip="The layout that the crops were made from, in place of boxes. Its descriptions "
                    "are replaced; its own are kept where the model gave none.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The picture that the boxes belong to. Its size is used in place of width and "
                    "height.",
                ),
                side_input(
                    "width",
                    "Width in pixels of the boxes' picture. A layout keeps its own size.",
                    optional=True,
                ),
                side_input("height", "Height in pixels of the boxes' picture.", optional=True),
                io.String.Input(
                    "caption",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="The global caption: what the whole picture shows. Empty: that of the layout.",
                ),
                bbox_format_input(),
            ],
            outputs=[
                LayoutType.Output(
                    display_name="layout", tooltip="The layout, for IFAdapter Encode or the all-in-one node."
                ),
                io.String.Output(
                    display_name="layout_text",
                    tooltip="The same layout as JSON, for the layout_text of IFAdapter Layout, whose editor "
                    "shows it.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        captions: list[str],
        boxes: list[Any] | None = None,
        layout: list[Layout] | None = None,
        image: list[Tensor] | None = None,
        width: Sequence[int] = (1024,),
        height: Sequence[int] = (1024,),
        caption: Sequence[str] = ("",),
        bbox_format: Sequence[str] = ("xywh",),
    ) -> io.NodeOutput:
        size = only_value("width", width), only_value("height", height)
        captioned, notices = caption_linked(
            captions,
            boxes,
            layout,
            *(size if image is None else picture_size(image)),
            caption=only_value("caption", caption),
            bbox_format=only_value("bbox_format", bbox_format),
        )
        for notice in notices:
            logging.warning("IFAdapter Captions: %s", notice)
        return io.NodeOutput(captioned, to_json(captioned, with_size=True))
