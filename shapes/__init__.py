"""The drawn world: scenes of coloured shapes, their descriptions and their pictures."""
