from comfy_api.latest import io

from .host.files import adapter_names, adapter_path, fingerprint, load_adapter
from .types import IFAdapterType

NOTHING_FOUND = "no adapter file found"


class IFAdapterLoader(io.ComfyNode):
    """Loads an adapter file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IFAdapterLoader",
            display_name="Load IFAdapter",
            category="IFAdapter",
            description="Loads an adapter from models/ifadapter: the released spd_adapter.bin, or "
            "a .safetensors file from this pack's converter or trainer.",
            search_aliases=[
                "layout adapter",
                "grounding adapter",
                "gligen",
            ],
            inputs=[
                io.Combo.Input(
                    "adapter_name",
                    options=adapter_names() or [NOTHING_FOUND],
                    tooltip="A file in models/ifadapter, or in a folder listed under 'ifadapter' "
                    "in extra_model_paths.yaml.",
                ),
            ],
            outputs=[
                IFAdapterType.Output(
                    display_name="ifadapter",
                    tooltip="The adapter, for IFAdapter Encode, IFAdapter Apply or the all-in-one node.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, adapter_name: str) -> bool | str:
        try:
            adapter_path(adapter_name)
        except FileNotFoundError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, adapter_name: str) -> str:
        return fingerprint(adapter_name)

    @classmethod
    def execute(cls, adapter_name: str) -> io.NodeOutput:
        return io.NodeOutput(load_adapter(adapter_name))
