"""A synthetic world of coloured shapes: scenes, captions, pictures, a small base model and an exact judge."""
