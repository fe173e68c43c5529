"""Pictures with layouts, from a folder: reading, checking, cropping."""
