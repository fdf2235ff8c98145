"""The difference between the code of two notebooks, as formatted by nbdime."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any


class NoDiffError(Exception):
    """nbdime, which makes the diffs, is not installed. The message says how to install it."""


def diff_code(
    old: Sequence[str], new: Sequence[str], *, old_name: str, new_name: str, colour: bool = False
) -> str:
    """Return a diff of code cells; empty if they are the same.

    Only sources are compared: outputs and counts differ between any two runs, and other cells do
    not affect execution.

    Args:
        old: Sources of the code cells that have code.
        new: The same for the other notebook.
        old_name: The name of the first notebook, for the first line.
        new_name: The name of the other notebook, for the second line.
        colour: Whether to colour the diff with ANSI sequences.

    Raises:
        NoDiffError: nbdime is not installed.
    """
    try:
        from nbdime.diffing.notebooks import diff_notebooks
        from nbdime.prettyprint import PrettyPrintConfig, pretty_print_diff
    except ImportError as error:
        raise NoDiffError(
            f"a diff needs nbdime, which cannot be imported ({error});"
            " pip install 'sphinx-nbcache[diff]' gets it"
        ) from None
    before, after = _notebook(old), _notebook(new)
    if not (difference := diff_notebooks(before, after)):
        return ""
    out = io.StringIO()
    # nbdime's own text comparison: those of git and diff depend on installation and settings.
    config = PrettyPrintConfig(out=out, use_git=False, use_diff=False, use_color=colour)
    pretty_print_diff(before, difference, "", config)
    return f"--- {old_name}\n+++ {new_name}\n{out.getvalue()}"


def _notebook(sources: Sequence[str]) -> Any:
    from nbformat import from_dict

    # nbformat 4.4: later versions require ids, which would show up in the diff.
    cell: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": []}
    cells = [{**cell, "source": source, "execution_count": None} for source in sources]
    return from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
