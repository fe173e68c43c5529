"""Ways to paint a layout that only the studies have."""
