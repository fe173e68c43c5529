"""The torch modules of the adapter, from leaf to block."""
