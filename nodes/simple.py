from typing import Any

from comfy_api.latest import io

from ..ifadapter_core.layout import Layout
from ..ifadapter_core.semantic_map import SemanticMap, as_batch
from .host.encoder import encode_layout
from .host.patcher import apply_adapter
from .inputs import clip_input, ifadapter_input, layout_input, model_input, schedule_inputs


class IFAdapterSimple(io.ComfyNode):
    """Encode, Semantic Map and Apply in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterSimple",
            display_name="IFAdapter (all in one)",
            category="IFAdapter",
            description="IFAdapter Encode, Semantic Map and Apply in one node, with their default settings.",
            search_aliases=[
                "regional prompt",
                "regional prompter",
                "multi subject",
                "multiple characters",
                "characters",
                "attention couple",
                "gligen",
            ],
            inputs=[model_input(), clip_input(), ifadapter_input(), layout_input(), *schedule_inputs()],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the adapter, for the sampler.")
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        ifadapter: Any,
        layout: Layout,
        strength: float,
        start_percent: float,
        end_percent: float,
    ) -> io.NodeOutput:
        semantic_map = SemanticMap(encode_layout(ifadapter, clip, layout))
        return io.NodeOutput(
            apply_adapter(model, ifadapter, as_batch(semantic_map), strength, start_percent, end_percent)
        )
