"""Which instances of a picture are right, wrong or missing."""
