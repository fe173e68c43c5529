"""The checks of adapter files: kinds of files, sizes and tensors. ``checkpoint`` applies them."""
