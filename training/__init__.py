"""A drawn world to train in, and what measures whether its descriptions were obeyed. Knows no host."""
