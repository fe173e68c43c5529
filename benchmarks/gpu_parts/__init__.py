"""The parts of `make gpu`, see ../gpu.py."""
