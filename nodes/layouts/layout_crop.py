import logging

from comfy_api.latest import io

from ...ifadapter_core.crops.place import Place, Window
from ...ifadapter_core.crops.remap import numbers_of, remap, stretch_notice
from ...ifadapter_core.layout import Layout
from ..inputs import layout_input
from ..types import LayoutType, PlaceType

MAX_PX = 65536


class IFAdapterLayoutCrop(io.ComfyNode):
    """The layout of a tile."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterLayoutCrop",
            display_name="IFAdapter Layout Crop",
            category="IFAdapter/layout",
            description="The part of a layout in a tile of its picture, for upscalers and detailers that "
            "sample a tile as a picture of its own. Boxes are cut at the edges of the tile.",
            search_aliases=[
                "tile",
                "tiled upscale",
                "crop layout",
                "layout of a tile",
                "ultimate sd upscale",
            ],
            inputs=[
                layout_input(),
                *(
                    io.Int.Input(
                        name,
                        default=default,
                        min=least,
                        max=MAX_PX,
                        tooltip=f"{meaning} of the tile in pixels of the picture.",
                    )
                    for name, default, least, meaning in (
                        ("x", 0, 0, "Left edge"),
                        ("y", 0, 0, "Top edge"),
                        ("width", 512, 1, "Width"),
                        ("height", 512, 1, "Height"),
                    )
                ),
                *(
                    io.Int.Input(
                        f"picture_{side}",
                        default=0,
                        min=0,
                        max=MAX_PX,
                        optional=True,
                        tooltip=f"{side.capitalize()} of the picture in pixels, such as after upscaling. "
                        f"0: the layout's {side}.",
                    )
                    for side in ("width", "height")
                ),
            ],
            outputs=[
                LayoutType.Output(
                    display_name="layout",
                    tooltip="The layout of the tile, for IFAdapter Encode or the all-in-one node.",
                ),
                PlaceType.Output(
                    display_name="place", tooltip="Where the tile belongs, for IFAdapter Paste."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        layout: Layout,
        x: int,
        y: int,
        width: int,
        height: int,
        picture_width: int = 0,
        picture_height: int = 0,
    ) -> io.NodeOutput:
        place = Place(
            Window(x, y, width, height), picture_width or layout.width, picture_height or layout.height
        )
        for notice in stretch_notice(layout, place.picture_width, place.picture_height):
            logging.warning("IFAdapter Layout Crop: %s", notice)
        part = remap(layout, place, width, height)
        if part.left_out:
            logging.info("IFAdapter Layout Crop: outside of the tile: %s.", numbers_of(part.left_out))
        return io.NodeOutput(part.layout, place)
