"""The only files that know ComfyUI beyond its node API."""
