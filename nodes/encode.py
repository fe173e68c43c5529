from typing import Any

from comfy_api.latest import io

from ..ifadapter_core.layout import Layout
from .host.encoder import encode_layout
from .inputs import clip_input, ifadapter_input, layout_input
from .types import TokensType


class IFAdapterEncode(io.ComfyNode):
    """Encodes the local descriptions as instance tokens."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterEncode",
            display_name="IFAdapter Encode",
            category="IFAdapter",
            description="Encodes each local description as appearance tokens and an EoT token. "
            "Weights like (red:1.2) and embedding:name work. Text beyond 77 tokens is dropped, "
            "with a warning that lists the dropped words.",
            search_aliases=[
                "instance",
                "instance prompt",
                "local prompt",
                "multi subject",
            ],
            inputs=[
                ifadapter_input(),
                clip_input(),
                layout_input(),
                io.Boolean.Input(
                    "use_appearance_tokens",
                    default=True,
                    tooltip="Tokens for colours, patterns and materials. Switch off to see the "
                    "effect of the coarse meaning alone.",
                ),
                io.Boolean.Input(
                    "use_eot_token",
                    default=True,
                    tooltip="End-of-Text token for the coarse meaning. Switch off to see the "
                    "effect of the appearance tokens alone.",
                ),
            ],
            outputs=[
                TokensType.Output(
                    display_name="tokens", tooltip="The instance tokens, for IFAdapter Semantic Map."
                )
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
