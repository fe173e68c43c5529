"""Pictures of a benchmark, by ComfyUI or by diffusers."""
