"""Many variants of one benchmark."""
