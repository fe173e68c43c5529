"""Boxes that come from a link instead of a text."""
