"""The link types of the pack."""

from comfy_api.latest import io

IFAdapterType = io.Custom("IFADAPTER")  # a host ModelPatcher around ifadapter_core.adapter.IFAdapter
LayoutType = io.Custom("IFADAPTER_LAYOUT")  # ifadapter_core.layout.Layout
TokensType = io.Custom("IFADAPTER_TOKENS")  # ifadapter_core.tokens.InstanceTokens
MapType = io.Custom("IFADAPTER_MAP")  # ifadapter_core.semantic_map.SemanticMap or SemanticMapBatch
BoxesType = io.Custom("BOUNDING_BOX")  # the host's boxes in pixels
ElementsType = io.Custom("ARRAY")  # elements of the host's box editor, in thousandths
NumbersType = io.Custom("BBOX")  # from other packs: four plain numbers per box
SegsType = io.Custom("SEGS")  # from the Impact Pack: ((height, width), segments)
PlaceType = io.Custom("IFADAPTER_PLACE")  # ifadapter_core.crops.place.Place
