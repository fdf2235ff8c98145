"""The configuration of the documentation, which is built with the extension that it describes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "sphinx_nbcache"
author = "The sphinx_nbcache developers"
copyright = "The sphinx_nbcache developers"

extensions = [
    "sphinx_nbcache",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated",
    "generated_cli",
    "markdown_docstrings",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "sphinx_nbcache"
html_extra_path = ["../sphinx_nbcache/report/nbcache-report-1.schema.json"]
