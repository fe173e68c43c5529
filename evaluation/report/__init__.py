"""Scores of many pictures: metrics, tables, galleries, and the calibration of the protocol."""
