"""The small base model of the drawn world and its training stages."""
