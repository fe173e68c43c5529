import logging

from comfy_api.latest import io

from ...ifadapter_core.conversions.outputs import layout_outputs
from ...ifadapter_core.layout import Layout
from ..host.segs import to_segs
from ..inputs import area_input, feather_input, is_visible, layout_input
from ..types import BoxesType, ElementsType, NumbersType, SegsType


class IFAdapterLayoutOutputs(io.ComfyNode):
    """A layout as masks, boxes, elements, texts and segments, for nodes that do not know layouts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterLayoutOutputs",
            display_name="IFAdapter Layout Outputs",
            category="IFAdapter/layout",
            description="Gives a layout to nodes of ComfyUI and other packs: as masks, boxes, elements of an "
            "Ideogram 4 prompt, descriptions, JSON text and SEGS.",
            search_aliases=[
                "boxes to masks",
                "bbox to mask",
                "layout to mask",
                "bounding boxes",
                "regional masks",
                "box elements",
                "ideogram elements",
                "segs",
                "bbox to segs",
                "convert layout",
            ],
            inputs=[
                layout_input(),
                area_input(),
                io.Int.Input(
                    "grow",
                    default=0,
                    min=-4096,
                    max=4096,
                    tooltip="Pixels to add on each side of a box in the masks and SEGS; negative numbers "
                    "shrink. The boxes themselves are not changed.",
                ),
                feather_input(),
            ],
            outputs=[
                io.Mask.Output(
                    display_name="masks",
                    tooltip="A batch with one mask for each box, from back to front, as large as the canvas.",
                ),
                io.Mask.Output(
                    display_name="mask_list",
                    is_output_list=True,
                    tooltip="The same masks as a list: the next node runs once for each mask.",
                ),
                BoxesType.Output(
                    display_name="boxes",
                    tooltip="All boxes in pixels, as one frame, with their local descriptions. For Draw "
                    "BBoxes, Create Bounding Boxes, SAM 3.",
                ),
                BoxesType.Output(
                    display_name="frames",
                    tooltip="The same boxes with a frame for each. For nodes that put one box on each "
                    "picture of a batch, such as Crop By Bounding Boxes.",
                ),
                ElementsType.Output(
                    display_name="elements",
                    tooltip="Elements of an Ideogram 4 prompt, in thousandths. For Build JSON Prompt "
                    "(Ideogram).",
                ),
                NumbersType.Output(
                    display_name="bbox",
                    tooltip="Left, top, width and height of each box in whole pixels, for other packs.",
                ),
                io.String.Output(
                    display_name="descriptions",
                    is_output_list=True,
                    tooltip="The local descriptions as a list: the next node runs once for each.",
                ),
                io.String.Output(
                    display_name="text", tooltip="The layout as JSON text in this pack's format."
                ),
                SegsType.Output(
                    display_name="segs",
                    tooltip="The boxes as SEGS, labelled with their descriptions, for the Impact Pack's "
                    "detailers.",
                ),
            ],
        )

    @classmethod
    def execute(cls, layout: Layout, area: str, grow: int, feather: int) -> io.NodeOutput:
        made = layout_outputs(layout, visible=is_visible(area), grow=grow, feather=feather)
        for notice in made.notices:
            logging.warning("IFAdapter Layout Outputs: %s", notice)
        return io.NodeOutput(
            made.masks,
            list(made.masks.split(1)),
            [made.boxes],
            made.frames,
            made.elements,
            made.numbers,
            made.descriptions,
            made.text,
            to_segs(layout.height, layout.width, made.segments),
        )
