"""Studies of open questions of the method in the drawn world: ``python -m shapes.evidence``."""
