"""What a training step of an adapter costs in time and memory. The command is in ``command.py``."""
