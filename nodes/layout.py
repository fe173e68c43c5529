from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..ifadapter_core.geometry import mask_boxes
from ..ifadapter_core.layout_formats import from_json, named_boxes
from ..ifadapter_core.previews import layout_picture
from .host.editor import background_for_editor, show_linked_boxes
from .image import to_image
from .types import BoxesType, ElementsType, LayoutType, NumbersType

EDITOR = "IFADAPTER_EDITOR"  # the widget of web/layout_widget.js; without it the layout is edited as text
EXAMPLE = """{
  "caption": "a cat and a teapot on a wooden table",
  "boxes": [
    {"x": 0.05, "y": 0.30, "w": 0.45, "h": 0.60, "caption": "a ginger cat with white paws and a blue collar"},
    {"x": 0.55, "y": 0.45, "w": 0.35, "h": 0.40, "caption": "a glazed green teapot with a bamboo handle"}
  ]
}"""


class IFAdapterLayout(io.ComfyNode):
    """Reads the layout: which instance stands where."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterLayout",
            display_name="IFAdapter Layout",
            category="IFAdapter",
            description="The boxes of a picture and what appears in each, from back to front.",
            search_aliases=["bounding boxes", "regional prompt", "layout to image", "grounding"],
            inputs=[
                io.String.Input(
                    "layout",
                    multiline=True,
                    default=EXAMPLE,
                    socketless=True,
                    extra_dict={"widgetType": EDITOR},
                    tooltip="JSON: this pack's format (x, y, w, h as fractions of the canvas), the IFAdapter release's format (caption and "
                    "annotations, pixels of a 768 canvas), BOUNDING_BOX lists (pixels) or box elements of the box editor (thousandths).",
                ),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=64,
                    max=16384,
                    step=8,
                    tooltip="Width of the picture in pixels.",
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=64,
                    max=16384,
                    step=8,
                    tooltip="Height of the picture in pixels.",
                ),
                io.MultiType.Input(
                    "boxes",
                    [BoxesType, ElementsType, NumbersType],
                    optional=True,
                    tooltip="Boxes from a detector or another box editor, in place of those in the text. Boxes without words of their own "
                    "take the local descriptions of the text in the same order, one for each box; a detector's labels are words.",
                ),
                io.Mask.Input(
                    "masks", optional=True, tooltip="One box around each mask, in place of those in the text."
                ),
                io.Combo.Input(
                    "bbox_format",
                    options=["xywh", "xyxy"],
                    default="xywh",
                    optional=True,
                    advanced=True,
                    tooltip="What linked boxes of four bare numbers (BBOX) mean: left, top, width, height or left, top, right, bottom.",
                ),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="A picture to show under the boxes in the editor. It changes nothing of the run.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                LayoutType.Output(
                    display_name="layout", tooltip="The layout, for Encode or the all-in-one node."
                ),
                io.Image.Output(
                    display_name="picture", tooltip="The boxes and their local descriptions, drawn."
                ),
                io.String.Output(
                    display_name="prompt",
                    tooltip="The global caption and all local descriptions as one prompt.",
                ),
                io.Int.Output(
                    display_name="width", tooltip="Width of the picture in pixels, for the empty latent."
                ),
                io.Int.Output(
                    display_name="height", tooltip="Height of the picture in pixels, for the empty latent."
                ),
                io.String.Output(
                    display_name="caption",
                    tooltip="The global caption alone: the whole picture, without the details.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        layout: str,
        width: int,
        height: int,
        boxes: Any = None,
        masks: Tensor | None = None,
        bbox_format: str = "xywh",
        background: Tensor | None = None,
    ) -> io.NodeOutput:
        if boxes is not None and masks is not None:
            raise ValueError("Both boxes and masks are linked. Link one of them.")
        linked = _boxes_around(masks) if masks is not None else named_boxes(boxes, bbox_format)
        if linked is not None:
            show_linked_boxes(cls.hidden.unique_id if cls.hidden else None, linked)
        read = from_json(layout, width, height, linked)
        picture = to_image(layout_picture(read))
        return io.NodeOutput(
            read, picture, read.prompt, width, height, read.caption, ui=background_for_editor(background)
        )


def _boxes_around(masks: Tensor) -> dict[str, Any]:
    """In this pack's format."""
    return {"boxes": [{"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0} for x0, y0, x1, y1 in mask_boxes(masks)]}
