"""IFAdapter (arXiv 2409.08240) in pure torch: instance feature control for text-to-image models."""
