"""Scores of many pictures as numbers, tables and galleries."""
