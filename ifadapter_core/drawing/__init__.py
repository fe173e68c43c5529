"""Text in preview pictures, in any script."""
