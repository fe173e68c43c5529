"""Prompts for language models, and the meaning of their answers. Standard library only."""
