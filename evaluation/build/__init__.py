"""Benchmarks from COCO or from the drawn world."""
