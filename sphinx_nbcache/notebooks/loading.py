"""The option `load` of code cells in text notebooks: the code is in a separate file.

Like MyST-NB's `:load:`, it is a path relative to the notebook; the file replaces the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_nbcache.notebooks.model import Cell, Notebook, Problem

LOAD = "load"


def with_loaded_code(notebook: Notebook, folder: Path) -> Notebook:
    """Return a notebook whose code cells contain the code that they load from files.

    An unreadable file is a problem of the notebook; the cell keeps its body.

    Args:
        notebook: A text notebook.
        folder: Its folder.
    """
    if not any(loaded_name(cell) for cell in notebook.cells):
        return notebook
    cells, problems = [], list(notebook.problems)
    loaded: dict[str, None] = {}
    for cell in notebook.cells:
        name = loaded_name(cell)
        if name:
            loaded[name] = None
            source, problem = loaded_source(name, folder)
            if problem:
                problems.append(Problem(problem, cell.opening or cell.line or None))
            else:
                cell = replace(cell, source=source, has_lines=False)  # noqa: PLW2901 (the same cell, filled)
        cells.append(cell)
    return replace(notebook, cells=tuple(cells), problems=tuple(problems), loaded=tuple(loaded))


def loaded_name(cell: Cell) -> str:
    """Return the file from which a cell loads its code, as written; empty if none."""
    return name_in(cell.metadata) if cell.kind == "code" else ""


def name_in(options: Mapping[str, Any]) -> str:
    """Return the file named in the options of a code cell; empty if there is none."""
    name = options.get(LOAD)
    return name.strip() if isinstance(name, str) and "\0" not in name else ""


def loaded_source(name: str, folder: Path) -> tuple[str, str]:
    """Return the code in a file, and a description of its fault; one of them is empty."""
    try:
        text = (folder / name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return "", f"the code cell loads {name}, which is not UTF-8"
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        return "", f"the code cell loads {name}, which cannot be read ({what})"
    return text.rstrip(), ""
