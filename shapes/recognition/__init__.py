"""What a picture of the drawn world shows: the exact judge, a detector and their metrics."""
