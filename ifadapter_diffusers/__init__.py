"""The method on diffusers: base models, adapted UNets, sampling and painting.

Independent of ComfyUI.
"""
