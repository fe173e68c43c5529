"""A layout as masks, and as the boxes and elements of other nodes."""
