"""The layouts of the studies: held-out scenes of the drawn world, and scenes with a given overlap."""
