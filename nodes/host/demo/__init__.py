"""The models that ship with the pack, as ComfyUI objects."""
