"""Latents and text states that are computed once, by ``python -m training cache``."""
