"""A detail pass on the drawn world: its small figures sampled again, one by one, and judged."""
