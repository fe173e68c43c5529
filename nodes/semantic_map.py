from dataclasses import replace

from comfy_api.latest import io
from torch import Tensor

from ..ifadapter_core.previews import ownership_picture
from ..ifadapter_core.semantic_map import SemanticMap
from ..ifadapter_core.tokens import InstanceTokens
from .inputs import to_image
from .types import MapType, TokensType

LEARNED = "learned gate"
LAYOUT_ORDER = "layout order"


class IFAdapterSemanticMap(io.ComfyNode):
    """Decides which instance gets which part of the picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterSemanticMap",
            display_name="IFAdapter Semantic Map",
            category="IFAdapter",
            description="Decides which instance gets which part of the picture. The defaults do "
            "exactly what the IFAdapter release does.",
            search_aliases=[
                "spatial",
                "spatial control",
                "regional",
                "regional masks",
                "overlap",
                "depth order",
            ],
            inputs=[
                TokensType.Input("tokens", tooltip="The instance tokens from IFAdapter Encode."),
                io.String.Input(
                    "strengths",
                    default="",
                    optional=True,
                    tooltip="One strength per instance, in the order of the layout, such as 1, "
                    "0.8, 1.2. It multiplies the adapter's effect on that instance. Empty: the "
                    "strengths set in the layout.",
                ),
                io.Combo.Input(
                    "depth_order",
                    options=[LEARNED, LAYOUT_ORDER],
                    default=LEARNED,
                    optional=True,
                    tooltip="Where boxes overlap, 'learned gate' mixes the instances as the "
                    "adapter was trained to; 'layout order' gives the overlap to the instance in "
                    "front, which comes later in the layout.",
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="A batch with one mask per instance, in the order of the layout. Each "
                    "instance covers only the masked part of its box.",
                ),
            ],
            outputs=[
                MapType.Output(display_name="semantic_map", tooltip="The semantic map, for IFAdapter Apply."),
                io.Image.Output(
                    display_name="picture",
                    tooltip="A preview of which instance owns which cell. It leaves out the "
                    "learned importance, which depends on the picture and is known only during "
                    "sampling.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        tokens: InstanceTokens,
        strengths: str = "",
        depth_order: str = LEARNED,
        masks: Tensor | None = None,
    ) -> io.NodeOutput:
        if strengths.strip():
            tokens = replace(tokens, strengths=read_strengths(strengths, len(tokens)))
        semantic_map = SemanticMap(tokens, masks, front_hides_back=depth_order == LAYOUT_ORDER)
        return io.NodeOutput(semantic_map, to_image(ownership_picture(semantic_map)))


def read_strengths(text: str, count: int) -> tuple[float, ...]:
    """Parse count finite numbers, separated by commas or blanks. Raises ValueError otherwise."""
    try:
        numbers = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise ValueError(f"strengths: {error}. Write one number per instance, such as 1, 0.8, 1.2.") from None
    if len(numbers) != count or not all(abs(number) < float("inf") for number in numbers):
        raise ValueError(
            f"strengths has {len(numbers)} numbers ({text.strip()}) for {count} instances. Write "
            "one finite number per instance."
        )
    return numbers
