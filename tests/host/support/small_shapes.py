"""Sizes of the small models. Importable without a host."""

TEXT_WIDTHS = {"clip_l": 32, "clip_g": 64}
TEXT_WIDTH = sum(TEXT_WIDTHS.values())
HEAD_DIM = 32
ADAPTED_WIDTH = 64
# Cross attentions of the first up block and of the mid block, in diffusers' order: 12 processors in
# the down blocks (2 x 1 and 2 x 2 transformer blocks), 12 + 6 in the up blocks, 4 in the mid block.
ADAPTED_PROCESSORS = (13, 15, 17, 19, 21, 23, 31, 33)
