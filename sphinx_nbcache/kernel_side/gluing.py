"""The function that notebooks call to show a value elsewhere: in their text, or on another page."""

HIDDEN = "application/papermill.record/"
"""Stands before the MIME types of an output that only pages that paste the value show.

Prefix and metadata are those of scrapbook, which MyST-NB uses as well (`glue` in
`myst_nb/ext/glue/__init__.py`, MyST-NB 1.4).
"""
METADATA = "scrapbook"


def glue(name, variable, display=True):
    """Give a value a name, by which pages can show it.

    The result keeps the forms in which Jupyter displays the value, not the value itself. Without
    IPython, as when a script with cells is run as a program, the function does nothing.

    Args:
        name: The name, unique in the notebook: the last value of a name counts.
        variable: The value.
        display: Whether the cell shows the value too.

    Raises:
        TypeError: The name is not text.
        ValueError: The name is empty, has blanks around it, or has `::` in it, which separates a
            page from a name.
    """
    if not isinstance(name, str):
        raise TypeError("the name of a glued value must be text, not %r" % (name,))
    if not name or name != name.strip() or "::" in name:
        raise ValueError("%r cannot be the name of a glued value" % name)
    import sys

    if "IPython" not in sys.modules:
        return
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display as publish
    from IPython.utils.capture import capture_output

    if not InteractiveShell.initialized():
        return
    # Objects with `_ipython_display_`, such as figures of Plotly, display themselves instead.
    with capture_output(stdout=False, stderr=False) as captured:
        data, metadata = InteractiveShell.instance().display_formatter.format(variable)
    if not data and captured.outputs:
        data, metadata = captured.outputs[-1]._repr_mimebundle_()
    prefix = "" if display else HIDDEN
    metadata = dict(metadata or {})
    metadata[METADATA] = {"name": name, "mime_prefix": prefix}
    publish({prefix + mime: value for mime, value in data.items()}, raw=True, metadata=metadata)
