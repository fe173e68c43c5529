"""The studies: one module for each."""
