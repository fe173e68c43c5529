from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..ifadapter_core.geometry import mask_boxes
from ..ifadapter_core.layout_formats import from_json, named_boxes
from ..ifadapter_core.previews import layout_picture
from .host.editor import results_for_editor, show_linked_boxes
from .inputs import to_image
from .types import BoxesType, ElementsType, LayoutType, NumbersType

EDITOR = "IFADAPTER_EDITOR"  # widget type of the editor in web/; without it the layout is a text field
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
        return io.Schema(
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
                    extra_dict={"widgetType": EDITOR},
                    tooltip="The layout as JSON. Formats: this pack's (x, y, w, h as fractions of "
                    "the picture), the IFAdapter release's (caption and annotations, pixels of a "
                    "768 x 768 canvas), BOUNDING_BOX lists (pixels), and elements of ComfyUI's "
                    "box editor (thousandths of the picture).",
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
                    tooltip="Boxes from a detector or another box editor. They replace the boxes "
                    "of the layout. Boxes without text take the layout's local descriptions in "
                    "order, one per box; a detector's label counts as text.",
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="One box is put around each mask. They replace the boxes of the layout.",
                ),
                io.Combo.Input(
                    "bbox_format",
                    options=["xywh", "xyxy"],
                    default="xywh",
                    optional=True,
                    advanced=True,
                    tooltip="Meaning of linked boxes that are four plain numbers (BBOX). xywh: "
                    "left, top, width, height. xyxy: left, top, right, bottom.",
                ),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="A picture shown under the boxes in the editor. It does not affect the result.",
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
            raise ValueError(
                "Both boxes and masks are linked, but a layout takes one of them. Remove one link."
            )
        linked = _boxes_of_masks(masks) if masks is not None else named_boxes(boxes, bbox_format)
        if linked is not None:
            show_linked_boxes(cls.hidden.unique_id if cls.hidden else None, linked)
        parsed = from_json(layout, width, height, linked)
        picture = to_image(layout_picture(parsed))
        return io.NodeOutput(
            parsed,
            picture,
            parsed.prompt,
            width,
            height,
            parsed.caption,
            ui=results_for_editor(parsed, background),
        )


def _boxes_of_masks(masks: Tensor) -> dict[str, Any]:
    """One box around each mask, in this pack's layout format. masks (N, H, W) or (H, W), in 0..1."""
    return {"boxes": [{"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0} for x0, y0, x1, y1 in mask_boxes(masks)]}
