"""The trainer for adapters on your own pictures: config, data, loop and stage.

See README.md. Independent of ComfyUI.
"""
