"""IFAdapter (arXiv 2409.08240) in pure torch: instance feature control for grounded text-to-image generation."""
