"""The forward of an adapted layer as Triton kernels, for sampling on a GPU."""
