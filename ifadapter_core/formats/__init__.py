"""Layout formats, one module each. ``layout_formats`` has the table of all formats."""
