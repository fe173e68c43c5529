"""What is counted in the pictures, with intervals."""
