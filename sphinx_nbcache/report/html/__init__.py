"""The report as HTML: a fragment for pages of any theme, and a self-contained page."""
