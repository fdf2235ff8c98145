"""Code cells inside blocks of text, for formats that have no such cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sphinx_nbcache.notebooks.model import Cell, Notebook

_OPENING = re.compile(r"(?P<before>.*?)(?P<fence>`{3,}|~{3,}|:{3,})\s*\{code-cell\}.*", re.DOTALL)


def with_shown_code(notebook: Notebook) -> list[Cell]:
    """Return the cells of a notebook, with nested code cells as ordinary code blocks.

    The cells themselves follow their text, as in any [](Notebook). Otherwise a reader of the new
    format that knows directives would find them twice.
    """
    cells: list[Cell] = []
    for cell in notebook.cells:
        if cell.kind == "markdown":
            nested = _nested_in(cell, notebook.cells)
            cells.append(replace(cell, source=_shown(cell, nested, notebook.language)))
        else:
            cells.append(cell)
    return cells


def _nested_in(text: Cell, cells: Sequence[Cell]) -> list[Cell]:
    last = text.line + text.source.count("\n")
    return [cell for cell in cells if cell.nested and text.line < cell.line <= last + 1]


def _shown(text: Cell, nested: Sequence[Cell], language: str) -> str:
    lines = text.source.split("\n")
    for cell in sorted(nested, key=lambda cell: -cell.line):
        body = cell.line - text.line
        opening = body - 1
        while opening >= 0 and _OPENING.fullmatch(lines[opening]) is None:
            opening -= 1
        if opening >= 0 and (match := _OPENING.fullmatch(lines[opening])) is not None:
            lines[opening:body] = [_block(match, language)]
    return "\n".join(lines)


def _block(match: re.Match[str], language: str) -> str:
    """Return the first line of a code block that replaces a code cell."""
    fence = match["fence"]
    # Colon fences are valid only for directives.
    directive = "{code-block} " if fence.startswith(":") else ""
    return f"{match['before']}{fence}{directive}{language}".rstrip()
