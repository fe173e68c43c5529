"""The small base model of the synthetic world (autoencoder, text encoder, UNet) and its training stages."""
