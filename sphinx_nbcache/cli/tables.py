"""Tables that fit their width. Nothing in them is cut off: what is too long is folded."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PADDING = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$")

Cell = str | tuple[str, str]
"""A text, or a text and its colour."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: What stands above it.
        folds: Whether its texts may be broken into lines. Ids and times may not.
        is_number: Whether it is aligned to the right.
    """

    title: str
    folds: bool = False
    is_number: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], width: int) -> str:
    """Return a table as text, with ANSI colours, without spaces at the ends of lines."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="")
    for column in columns:
        made.add_column(
            Text(column.title),
            justify="right" if column.is_number else "left",
            no_wrap=not column.folds,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(Text(cell) if isinstance(cell, str) else Text(*cell) for cell in row))
    out = io.StringIO()
    # Colours are always written: click takes them out where the output is not for a terminal.
    console = Console(
        file=out, width=width, force_terminal=True, color_system="standard", no_color=False
    )
    console.print(made)
    return "\n".join(_PADDING.sub(r"\1", line) for line in out.getvalue().splitlines())
