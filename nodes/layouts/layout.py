import logging
from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ...ifadapter_core.geometry import mask_boxes
from ...ifadapter_core.layout import LayoutError
from ...ifadapter_core.layout_formats import (
    UNITS,
    Linked,
    linked_masks,
    read_layout,
    read_linked,
    shown_boxes,
)
from ...ifadapter_core.previews import layout_picture
from ..host.editor import results_for_editor, show_linked_boxes, show_linked_text
from ..inputs import bbox_format_input, side_input, to_image
from ..types import BoxesType, ElementsType, LayoutType, NumbersType, SegsType

AS_WRITTEN = "as written"
EXAMPLE = """{
  "caption": "a cat and a teapot on a wooden table",
  "boxes": [
    {"x": 0.05, "y": 0.30, "w": 0.45, "h": 0.60, "caption": "a ginger cat with white paws and a blue collar"},
    {"x": 0.55, "y": 0.45, "w": 0.35, "h": 0.40, "caption": "a glazed green teapot with a bamboo handle"}
  ]
}"""


class IFAdapterLayout(io.ComfyNode):
    """Reads a layout: a box and a local description for each instance."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        schema = io.Schema(
            node_id="IFAdapterLayout",
            display_name="IFAdapter Layout",
            category="IFAdapter",
            description="The boxes of a picture and the description of each, from back to front.",
            search_aliases=[
                "box",
                "boxes",
                "bbox",
                "bounding box",
                "bounding boxes",
                "layout editor",
                "layout to image",
                "place",
                "position",
                "area",
                "region",
                "composition",
                "regional prompt",
            ],
            inputs=[
                io.String.Input(
                    "layout",
                    multiline=True,
                    default=EXAMPLE,
                    socketless=True,
                    tooltip="The layout as JSON: this pack's format (x, y, w, h as fractions of the "
                    "picture), the IFAdapter release's, or what ComfyUI's box nodes, detectors and "
                    "language models write. Text around the JSON is left out. The node's help page "
                    "lists all formats.",
                ),
                side_input("width", "Width of the picture in pixels."),
                side_input("height", "Height of the picture in pixels."),
                io.MultiType.Input(
                    "boxes",
                    [BoxesType, ElementsType, NumbersType, SegsType],
                    optional=True,
                    tooltip="Boxes from a detector or another box editor. They replace the boxes "
                    "of the layout and are cut at the edges of the picture. They take the layout's local "
                    "descriptions in order where there is one per box, else their own text, such as a "
                    "detector's labels.",
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="One box is put around each mask. They replace the boxes of the layout.",
                ),
                bbox_format_input(" Rows of five numbers are always left, top, right, bottom and score."),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="A picture shown under the boxes in the editor. It does not affect the result.",
                ),
                io.Combo.Input(
                    "units",
                    options=[AS_WRITTEN, *UNITS],
                    default=AS_WRITTEN,
                    optional=True,
                    advanced=True,
                    socketless=True,
                    tooltip="Unit of the numbers in a layout text that states none. as written: what "
                    "the format says. Boxes drawn in the editor are not affected.",
                ),
                io.String.Input(
                    "layout_text",
                    optional=True,
                    force_input=True,
                    tooltip="A layout as text from another node, such as a language model's answer, in any "
                    "format that the layout reads. It counts in place of the drawn layout until it is taken "
                    "over in the editor, and again when another text arrives.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                LayoutType.Output(
                    display_name="layout", tooltip="The layout, for IFAdapter Encode or the all-in-one node."
                ),
                io.Image.Output(
                    display_name="picture", tooltip="A drawing of the boxes with their local descriptions."
                ),
                io.String.Output(
                    display_name="prompt",
                    tooltip="The global caption and all local descriptions in one prompt.",
                ),
                io.Int.Output(
                    display_name="width", tooltip="Width of the picture in pixels, for the empty latent."
                ),
                io.Int.Output(
                    display_name="height", tooltip="Height of the picture in pixels, for the empty latent."
                ),
                io.String.Output(
                    display_name="caption",
                    tooltip="The global caption alone, without the local descriptions.",
                ),
            ],
        )
        # Hosts that know this flag send the editor's results again if a run takes them from the cache.
        schema.has_intermediate_output = True
        return schema

    @classmethod
    def execute(
        cls,
        layout: str,
        width: int,
        height: int,
        boxes: Any = None,
        masks: Tensor | Sequence[Tensor] | None = None,
        bbox_format: str = "xywh",
        background: Tensor | None = None,
        units: str = AS_WRITTEN,
        layout_text: str | None = None,
    ) -> io.NodeOutput:
        node_id = cls.hidden.unique_id if cls.hidden else None
        if layout_text is not None:
            show_linked_text(node_id, layout_text)
        if boxes is not None and masks is not None:
            raise ValueError(
                "Both boxes and masks are linked, but a layout takes one of them. Remove one link."
            )
        linked = _linked(boxes, masks, width, height, bbox_format)
        if linked is not None:
            show_linked_boxes(node_id, shown_boxes(linked, width, height))
            if is_example(layout, width, height):
                layout = ""  # nobody wrote it
        units_of_text = None if units == AS_WRITTEN else units
        parsed, notices = read_layout(layout, width, height, linked, units_of_text, layout_text)
        for notice in notices:
            logging.warning("IFAdapter Layout: %s", notice)
        picture = to_image(layout_picture(parsed))
        return io.NodeOutput(
            parsed,
            picture,
            parsed.prompt,
            width,
            height,
            parsed.caption,
            ui=results_for_editor(parsed, background, notices, layout_text),
        )


def is_example(layout: str, width: int, height: int) -> bool:
    """Whether a layout text is still the example of a new node, as text or as the editor writes it."""
    try:
        return read_layout(layout, width, height).layout == read_layout(EXAMPLE, width, height).layout
    except LayoutError:
        return False


def _linked(
    boxes: Any, masks: Tensor | Sequence[Tensor] | None, width: int, height: int, bbox_format: str
) -> Linked | None:
    """The linked boxes, or the boxes around the linked masks; None without a link."""
    if masks is not None:
        return linked_masks(mask_boxes(masks))
    return None if boxes is None else read_linked(boxes, width, height, bbox_format)
