"""Recognition of the figures in a picture: colour evidence, template matching, detection and metrics."""
