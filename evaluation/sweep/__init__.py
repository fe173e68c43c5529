"""Sweeps: many variants of one benchmark, generated, scored and compared."""
