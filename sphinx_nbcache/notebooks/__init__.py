"""Notebooks as sources: their formats, cells, code key, and the remembered scan of a file."""
