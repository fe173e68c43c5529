from comfy_api.latest import io

from .host.demo import load_demo
from .types import IFAdapterType


class IFAdapterDemoModels(io.ComfyNode):
    """Loads the small models that come with the pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterDemoModels",
            display_name="Load IFAdapter Demo Models",
            category="IFAdapter",
            description="The small models that come with this pack: they draw coloured shapes at 128 x 128 pixels, on any machine and "
            "without a download. Use them together, and with nothing of another base model.",
            search_aliases=["try ifadapter", "quickstart", "example checkpoint", "test model"],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="A small diffusion model that draws shapes, for Apply or the sampler.",
                ),
                io.Clip.Output(
                    display_name="clip",
                    tooltip="Its text encoder, which knows the words for shapes, colours and patterns.",
                ),
                io.Vae.Output(display_name="vae", tooltip="Its autoencoder."),
                IFAdapterType.Output(display_name="ifadapter", tooltip="The adapter for this model."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*load_demo())
