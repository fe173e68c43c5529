"""The instances of a picture, cut out one by one and pasted back."""
