"""Nodes that make, read and convert layouts."""
