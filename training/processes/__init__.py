"""The processes of a training, and how its weights are divided between them."""
