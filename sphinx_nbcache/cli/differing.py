"""How a notebook's code differs from the code that a result is of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sphinx_nbcache.notebooks.diffing import diff_code
from sphinx_nbcache.notebooks.formats import read_notebook
from sphinx_nbcache.notebooks.model import NotebookError
from sphinx_nbcache.notebooks.scan import decode_source

if TYPE_CHECKING:
    from sphinx_nbcache.project import Project


def difference(project: Project, reference: int | str | Path, path: Path) -> str:
    """Return a diff from the code of a result to that of a notebook; empty if they are equal.

    Raises:
        UnknownReferenceError: There is no such result.
        NotebookError: The file is no notebook.
        NoDiffError: nbdime is not installed.
    """
    stored = project.results.get(reference)
    return diff_code(
        project.results.sources(stored),
        _code_of(project, path),
        old_name=f"result {stored.id} ({stored.result.notebook})",
        new_name=project.name_of(path),
        # click takes them out where the output is not for a terminal.
        colour=True,
    )


def _code_of(project: Project, path: Path) -> list[str]:
    try:
        text = decode_source(path.read_bytes())
        fmt = project.formats.format_of(path.name, text)
        notebook = read_notebook(text, fmt) if fmt is not None else None
    except NotebookError as error:
        raise NotebookError(f"{path}: {error}", error.line) from None
    if notebook is None:
        raise NotebookError(f"{path} is no notebook")
    return [item.cell.source for item in notebook.code_cells]
