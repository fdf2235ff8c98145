"""Tables that fit their width. Nothing in them is cut off: what is too long is folded.

A table of rich's own takes a third of a millisecond for each row, which is seconds for a large
store. So rich only measures here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import click
from rich.cells import cell_len, chop_cells

Cell = str | tuple[str, str]
"""A text, or a text and its colour."""

_LINE_ENDS = re.compile(r"[\n\r\t\x1b]")
_GAP = "   "
_RULE = "─"
_NARROWEST = 10


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
    """Return a table as text, with ANSI colours, without spaces at the ends of lines.

    click takes the colours out where the output is not for a terminal.
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = _widths(columns, cells, width)
    lines = _lines(columns, [(column.title, "") for column in columns], widths)
    lines.append(_RULE * (sum(widths) + len(_GAP) * (len(widths) - 1)))
    for row in cells:
        lines += _lines(columns, row, widths)
    return "\n".join(lines)


def _cell(cell: Cell) -> tuple[str, str]:
    text, colour = (cell, "") if isinstance(cell, str) else cell
    return _LINE_ENDS.sub(" ", text), colour


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[tuple[str, str]]], width: int
) -> list[int]:
    """Return the widths of columns: as their texts need, or less for those that may be folded."""
    widths = [cell_len(column.title) for column in columns]
    for row in rows:
        for position, (text, _) in enumerate(row):
            widths[position] = max(widths[position], cell_len(text))
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    folding = [position for position, column in enumerate(columns) if column.folds]
    while excess > 0 and folding:
        widest = max(folding, key=lambda position: widths[position])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def _lines(
    columns: Sequence[Column], row: Sequence[tuple[str, str]], widths: Sequence[int]
) -> list[str]:
    """Return the lines of a row."""
    folded = [_folded(text, width) for (text, _), width in zip(row, widths, strict=True)]
    lines = []
    for parts in zip_longest(*folded, fillvalue=""):
        padded = [
            _padded(part, colour, width, is_number=column.is_number)
            for part, (_, colour), width, column in zip(parts, row, widths, columns, strict=True)
        ]
        # Padding stands outside of colours.
        lines.append(_GAP.join(padded).rstrip(" "))
    return lines


def _padded(text: str, colour: str, width: int, *, is_number: bool) -> str:
    padding = " " * (width - cell_len(text))
    styled = click.style(text, fg=colour) if colour and text else text
    return padding + styled if is_number else styled + padding


def _folded(text: str, width: int) -> list[str]:
    """Break a text into lines: between words, and within words that are too long."""
    if cell_len(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width:
            lines[-1] = longer
            continue
        lines += chop_cells(word, width)
    return [line for line in lines if line]
