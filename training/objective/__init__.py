"""What an adapter is trained on: the loss, its weights, its measurement on held-out pictures."""
