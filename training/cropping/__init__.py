"""Where pictures are cropped and to which canvas, and which of them make a batch."""
