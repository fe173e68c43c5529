"""The models that studies train: adapters, fine-tuned base models and a ControlNet, each once."""
