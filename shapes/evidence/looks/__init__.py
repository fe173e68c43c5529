"""Other looks of the drawn world, and other domains: how they are drawn, worded and judged."""
