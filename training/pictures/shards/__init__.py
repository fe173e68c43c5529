"""Shards: pictures with layouts in tar files of webdataset, and their index."""
