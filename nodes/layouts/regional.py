import logging
from typing import Any

from comfy_api.latest import io

from ...ifadapter_core.conversions.regions import layout_regions
from ...ifadapter_core.layout import Layout
from ..host.regional import regional_conditioning
from ..inputs import area_input, feather_input, is_visible, layout_input

MASKS, AREAS = "masks", "areas"
OUTSIDE, EVERYWHERE = "outside the boxes", "everywhere"


class IFAdapterRegionalConditioning(io.ComfyNode):
    """A layout as one conditioning for ComfyUI's own regional prompting."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterRegionalConditioning",
            display_name="IFAdapter Regional Conditioning",
            category="IFAdapter/layout",
            description="Makes each local description act in its own box, with ComfyUI's own masks or areas. "
            "Works with any image model, without an adapter.",
            search_aliases=[
                "regional prompt",
                "regional conditioning",
                "area composition",
                "conditioning set mask",
                "conditioning set area",
                "box prompt",
                "localized prompt",
                "regional prompter",
                "latent couple",
            ],
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder of the model. It encodes each description."),
                layout_input(),
                io.Conditioning.Input(
                    "conditioning",
                    tooltip="The encoded prompt of the whole picture, such as the layout's caption.",
                ),
                io.Combo.Input(
                    "regions",
                    options=[MASKS, AREAS],
                    default=MASKS,
                    tooltip="masks: each description is sampled over the whole picture and kept inside its "
                    "box. areas: each description is sampled in its rectangle alone, which takes less "
                    "computation but does not see the rest of the picture.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="Weight of the descriptions in their boxes, multiplied with the strength of each "
                    "box. Below 1, the prompt of the whole picture takes the rest.",
                ),
                area_input(),
                feather_input(),
                io.Combo.Input(
                    "background",
                    options=[OUTSIDE, EVERYWHERE],
                    default=OUTSIDE,
                    tooltip="Where the prompt of the whole picture acts: outside the boxes alone, or "
                    "everywhere, mixed with the descriptions.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="conditioning",
                    tooltip="All prompts with their regions, for the positive input of a sampler.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        clip: Any,
        layout: Layout,
        conditioning: list,
        regions: str,
        strength: float,
        area: str,
        feather: int,
        background: str,
    ) -> io.NodeOutput:
        found, notices = layout_regions(
            layout, areas=regions == AREAS, visible=is_visible(area), feather=feather, strength=strength
        )
        for notice in notices:
            logging.warning("IFAdapter Regional Conditioning: %s", notice)
        combined = regional_conditioning(clip, conditioning, found, background_only=background == OUTSIDE)
        return io.NodeOutput(combined)
