"""The drawn world: synthetic scenes of coloured shapes, with captions, a base model and a judge."""
