from typing import Any

from comfy_api.latest import io

from ..ifadapter_core.layout import Layout
from .host.encoder import encode_layout
from .inputs import clip_input, ifadapter_input, layout_input
from .types import TokensType


class IFAdapterEncode(io.ComfyNode):
    """Turns the local descriptions into instance tokens."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterEncode",
            display_name="IFAdapter Encode",
            category="IFAdapter",
            description="Compresses each local description into appearance tokens and an EoT token. Weights like (red:1.2) and "
            "embedding:name work; what exceeds 77 tokens is dropped, with a warning that names the words.",
            inputs=[
                ifadapter_input(),
                clip_input(),
                layout_input(),
                io.Boolean.Input(
                    "use_appearance_tokens",
                    default=True,
                    tooltip="The tokens that carry colours, patterns and materials. Off shows what the coarse meaning alone does.",
                ),
                io.Boolean.Input(
                    "use_eot_token",
                    default=True,
                    tooltip="The End-of-Text token that carries the coarse meaning. Off shows what the appearance tokens alone do.",
                ),
            ],
            outputs=[
                TokensType.Output(display_name="tokens", tooltip="The instance tokens, for the semantic map.")
            ],
        )

    @classmethod
    def execute(
        cls,
        ifadapter: Any,
        clip: Any,
        layout: Layout,
        use_appearance_tokens: bool = True,
        use_eot_token: bool = True,
    ) -> io.NodeOutput:
        return io.NodeOutput(
            encode_layout(ifadapter, clip, layout).select(use_appearance_tokens, use_eot_token)
        )
