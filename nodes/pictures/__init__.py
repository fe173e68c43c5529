"""Nodes that cut, paste and check pictures by a layout."""
