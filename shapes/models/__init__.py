"""The base model of the drawn world (autoencoder, text encoder, UNet) and its training stages."""
