"""Recognition of figures: colour evidence, template matching, detection, the judge and metrics."""
