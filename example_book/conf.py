"""The configuration of the example book."""

project = "The Mill Gauge"
author = "The sphinx_nbcache developers"
copyright = "The sphinx_nbcache developers"

# This is all that a book with notebooks needs.
extensions = ["sphinx_nbcache"]

# Python scripts with a jupytext header are notebooks too.
nbcache_formats = {".py": "py:percent"}

html_theme = "furo"
html_title = "The Mill Gauge"
exclude_patterns = ["_build"]
