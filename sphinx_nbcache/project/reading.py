"""Notebooks that users hand to a project: files, and nbformat nodes in memory."""

from __future__ import annotations

import json
from pathlib import Path

from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.ipynb import read_ipynb
from sphinx_nbcache.notebooks.model import Notebook, NotebookError
from sphinx_nbcache.notebooks.readers import IPYNB
from sphinx_nbcache.notebooks.scan import Scan, Stat, decode_source, scan_notebook
from sphinx_nbcache.project.errors import ProjectError
from sphinx_nbcache.project.results import Node


def read_file(path: Path, name: str, formats: Formats, reader: str = "") -> Notebook:
    """Return the notebook that a file is.

    Args:
        path: The file.
        name: How it is called in messages.
        formats: The formats by suffix.
        reader: The reader that was named for this very file, if one was.

    Raises:
        ProjectError: It is none, or cannot be read.
    """
    try:
        text = decode_source(path.read_bytes())
        fmt = formats.format_of(path.name, text, reader)
        if fmt is None:
            raise ProjectError(f"{name} is no notebook")
        return read_notebook(text, fmt, path.parent)
    except OSError as error:
        raise ProjectError(f"{name} cannot be read: {error.strerror or error}") from None
    except NotebookError as error:
        raise ProjectError(f"{name} cannot be read: {error}") from None


def read_node(node: Node) -> Notebook:
    """Return the notebook that an nbformat node is: as if it had been written to a file and read.

    Raises:
        ProjectError: It is none.
    """
    try:
        return read_ipynb(text_of_node(node))
    except NotebookError as error:
        raise ProjectError(f"the notebook cannot be used: {error}") from None


def text_of_node(node: Node) -> str:
    """Return the text of the file that would hold an nbformat node.

    Raises:
        ProjectError: It cannot be written as JSON.
    """
    try:
        return json.dumps(node)
    except (TypeError, ValueError, RecursionError) as error:
        raise ProjectError(f"the notebook cannot be used: {error}") from None


def scan_of(notebook: Notebook) -> Scan:
    """Return what planning needs of a notebook that was read from no file."""
    return scan_notebook(Scan(Stat(0, 0, 0, 0), 0, "", "", IPYNB), notebook)
