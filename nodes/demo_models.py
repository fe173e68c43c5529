from comfy_api.latest import io

from .types import IFAdapterType


class IFAdapterDemoModels(io.ComfyNode):
    """Loads the small models that ship with the pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterDemoModels",
            display_name="Load IFAdapter Demo Models",
            category="IFAdapter",
            description="Loads the small models that ship with this pack. They draw coloured "
            "shapes at 128 x 128 pixels, on any machine and without a download. Use them "
            "together; do not mix them with models, LoRAs or adapters of another base model.",
            search_aliases=["try ifadapter", "quickstart", "example checkpoint", "test model"],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="A small diffusion model that draws shapes, for IFAdapter Apply or the sampler.",
                ),
                io.Clip.Output(
                    display_name="clip",
                    tooltip="The model's text encoder. It knows words for shapes, colours and patterns.",
                ),
                io.Vae.Output(display_name="vae", tooltip="The model's autoencoder."),
                IFAdapterType.Output(display_name="ifadapter", tooltip="The adapter for this model."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        try:
            # Imported here: it subclasses the host's internals, and a change there must cost this
            # node alone.
            from .host.demo.load import load_demo

            return io.NodeOutput(*load_demo())
        except (ImportError, AttributeError) as error:
            raise RuntimeError(
                f"The demo models do not work with this version of ComfyUI ({error}). Update "
                "ComfyUI and ComfyUI-IFAdapter. The other IFAdapter nodes do not need the demo "
                "models."
            ) from error
