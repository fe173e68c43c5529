"""A synthetic world of coloured shapes: scenes, captions, pictures, a base model and a judge."""
