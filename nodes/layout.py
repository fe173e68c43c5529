from typing import Any

from comfy_api.latest import io

from ..ifadapter_core.layout import from_json
from ..ifadapter_core.pictures import layout_picture
from .image import to_image
from .types import BoxesType, ElementsType, LayoutType

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
            description="The boxes of a picture and what appears in each. Instances later in the list stand nearer.",
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
                io.Int.Input("width", default=1024, min=64, max=16384, step=8, tooltip="Width of the picture in pixels."),
                io.Int.Input("height", default=1024, min=64, max=16384, step=8, tooltip="Height of the picture in pixels."),
                io.MultiType.Input(
                    "boxes",
                    [BoxesType, ElementsType],
                    optional=True,
                    tooltip="Boxes from a detector or another box editor, in place of those in the text. Boxes without words of their own "
                    "take the local descriptions of the text in the same order; the text may then be a list of strings.",
                ),
            ],
            outputs=[
                LayoutType.Output(display_name="layout", tooltip="The layout, for Encode or the all-in-one node."),
                io.Image.Output(display_name="picture", tooltip="The boxes and their local descriptions, drawn."),
                io.String.Output(display_name="prompt", tooltip="The global caption and all local descriptions as one prompt."),
                io.Int.Output(display_name="width", tooltip="Width of the picture in pixels, for the empty latent."),
                io.Int.Output(display_name="height", tooltip="Height of the picture in pixels, for the empty latent."),
            ],
        )

    @classmethod
    def execute(cls, layout: str, width: int, height: int, boxes: Any = None) -> io.NodeOutput:
        read = from_json(layout, width, height, boxes)
        return io.NodeOutput(read, to_image(layout_picture(read)), read.prompt, width, height)
