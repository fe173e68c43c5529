from comfy_api.latest import io

from ..ifadapter_core.semantic_map import SemanticMap, SemanticMapBatch, as_batch
from .types import MapType


class IFAdapterBatchMaps(io.ComfyNode):
    """Gives each image of a batch its own layout."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterBatchMaps",
            display_name="IFAdapter Batch Maps",
            category="IFAdapter",
            description="Gives each image of a batch its own layout: the first image gets the "
            "first semantic map of the list, and so on. With more images than maps, the list "
            "starts again.",
            search_aliases=["batch layouts", "layout for each image"],
            is_input_list=True,
            inputs=[
                MapType.Input(
                    "semantic_maps",
                    tooltip="A list of semantic maps, such as a list of layouts gives; or a single map.",
                ),
                MapType.Input("more_maps", optional=True, tooltip="More maps, appended to the list."),
            ],
            outputs=[
                MapType.Output(display_name="semantic_map", tooltip="All maps together, for IFAdapter Apply.")
            ],
        )

    @classmethod
    def execute(
        cls,
        semantic_maps: list[SemanticMap | SemanticMapBatch],
        more_maps: list[SemanticMap | SemanticMapBatch] | None = None,
    ) -> io.NodeOutput:
        return io.NodeOutput(as_batch(*semantic_maps, *(more_maps or ())))
