"""The adapter in a UNet for the time of one call of a pipeline: hooks that are removed afterwards."""
