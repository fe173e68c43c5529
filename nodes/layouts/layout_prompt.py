from comfy_api.latest import io

from ...ifadapter_core.language.layout_prompt import (
    ANY_MODEL,
    DESCRIPTIONS,
    DETAILED,
    FAMILIES,
    layout_prompt,
)
from ...ifadapter_core.layout import MAX_INSTANCES
from ..inputs import side_input

EXAMPLE = "a ginger cat and a green teapot on a wooden table"


class IFAdapterLayoutPrompt(io.ComfyNode):
    """Writes the prompt that asks a language model for a layout."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterLayoutPrompt",
            display_name="IFAdapter Layout Prompt",
            category="IFAdapter/layout",
            description="Turns a sentence into a prompt that asks a language model for a layout: boxes and "
            "a description for each. Connect it to Generate Text, and its text to IFAdapter Layout.",
            search_aliases=[
                "prompt to layout",
                "text to layout",
                "llm layout",
                "layout from prompt",
                "language model",
                "prompt to boxes",
                "scene planner",
            ],
            inputs=[
                io.String.Input(
                    "request",
                    multiline=True,
                    default=EXAMPLE,
                    tooltip="What the picture should show, in your own words and any language that the "
                    "model knows.",
                ),
                side_input("width", "Width of the picture in pixels. The prompt states its proportions."),
                side_input("height", "Height of the picture in pixels."),
                io.Int.Input(
                    "instances",
                    default=0,
                    min=0,
                    max=MAX_INSTANCES,
                    tooltip="Number of boxes to ask for. 0: as many as the request names.",
                ),
                io.Combo.Input(
                    "descriptions",
                    options=list(DESCRIPTIONS),
                    default=DETAILED,
                    tooltip="detailed: colours, materials, patterns and parts of each thing, as the adapter "
                    "was trained on. short: a few words each, for small language models.",
                ),
                io.Combo.Input(
                    "model",
                    options=list(FAMILIES),
                    default=ANY_MODEL,
                    tooltip="Family of the language model. It gets boxes in the notation that it was "
                    "trained on, and a chat template where ComfyUI adds none. any model: this pack's "
                    "format.",
                ),
            ],
            outputs=[io.String.Output(display_name="prompt", tooltip="The prompt, for Generate Text.")],
        )

    @classmethod
    def execute(
        cls, request: str, width: int, height: int, instances: int, descriptions: str, model: str
    ) -> io.NodeOutput:
        return io.NodeOutput(
            layout_prompt(request, width, height, instances=instances, descriptions=descriptions, model=model)
        )
