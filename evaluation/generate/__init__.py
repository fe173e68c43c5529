"""Pictures of a benchmark's layouts, by ComfyUI or by diffusers."""
