"""The report as HTML: a fragment for a page of any theme, and a page of its own."""
