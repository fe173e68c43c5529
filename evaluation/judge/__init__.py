"""Scores of single pictures: detection, matching, verification, CLIP score; and the FID."""
