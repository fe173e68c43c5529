"""The method on diffusers: base models, adapted UNets, sampling. Knows no ComfyUI."""
