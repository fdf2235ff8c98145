"""The HTML of outputs: contained, and as XHTML."""
