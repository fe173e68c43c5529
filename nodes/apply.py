from typing import Any

from comfy_api.latest import io

from ..ifadapter_core.semantic_map import SemanticMap, SemanticMapBatch, as_batch
from .host.patcher import apply_adapter
from .inputs import ifadapter_input, model_input, schedule_inputs
from .types import MapType


class IFAdapterApply(io.ComfyNode):
    """Applies the semantic map to the model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterApply",
            display_name="IFAdapter Apply",
            category="IFAdapter",
            description="Makes each instance appear in its box, with its features. Place it after "
            "LoRA loaders and after other nodes that replace cross attention: it adds to their "
            "effect.",
            search_aliases=[
                "attention couple",
                "regional attention",
                "gligen",
                "grounding",
                "instance",
            ],
            inputs=[
                model_input(),
                ifadapter_input(),
                MapType.Input(
                    "semantic_map",
                    tooltip="The semantic map from IFAdapter Semantic Map or IFAdapter Batch Maps.",
                ),
                *schedule_inputs(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the adapter, for the sampler.")
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        ifadapter: Any,
        semantic_map: SemanticMap | SemanticMapBatch,
        strength: float,
        start_percent: float,
        end_percent: float,
    ) -> io.NodeOutput:
        return io.NodeOutput(
            apply_adapter(model, ifadapter, as_batch(semantic_map), strength, start_percent, end_percent)
        )
