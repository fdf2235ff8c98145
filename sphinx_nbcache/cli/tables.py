"""Tables that fit their width, and the words in them. Long texts are folded, never cut off."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len, chop_cells

from sphinx_nbcache.project.outcomes import SIGNS
from sphinx_nbcache.text import first_line, one_line

Cell = str | tuple[str, str]
"""A text, or a text and its colour."""

# A cell is one line; the escape character would also break the count of columns.
_LINE_ENDS = re.compile(r"[\n\r\t\x1b]")
_GAP = "   "
_RULE = "─"
# Where paths and names can be broken and still be read: after `/`, `_`, `.` and `-`.
_PARTS = re.compile(r"[^/_.-]*[/_.-]|[^/_.-]+")
# Layouts to try until a table fits: the gap between columns, the least width of columns that fold,
# and whether the other columns may also be broken between words.
_LAYOUTS = ((_GAP, 10, False), (_GAP, 10, True), (" ", 10, True), (" ", 4, True))


if TYPE_CHECKING:
    from sphinx_nbcache.cli.documents import FailureItem


def status_in_words(status: str) -> tuple[str, str]:
    """Return the words for a state, and their colour."""
    sign = SIGNS.get(status)
    return (status, "") if sign is None else (sign.symbol, sign.colour)


def utc_minute(when: datetime | None) -> str:
    """Return a time in UTC, to the minute."""
    return "-" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def last_parts(path: str, parts: int | None) -> str:
    """Return the last parts of a path; all of it for `None`."""
    return path if parts is None else "/".join(path.split("/")[-parts:])


def failure_in_words(failure: FailureItem) -> str:
    """Return where and why a run failed, such as `code cell 2, line 3: ValueError: negative`."""
    line = "" if failure.line_in_cell is None else f", line {failure.line_in_cell}"
    where = "" if failure.cell is None else f"code cell {failure.cell}{line}: "
    message = first_line(failure.message)
    return one_line(f"{where}{failure.name}: {message}")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        folds: Whether its texts may be broken into lines, even within words. Ids and times may not;
            if there is no room, times are broken between words.
        is_number: Whether it is aligned to the right.
    """

    title: str
    folds: bool = False
    is_number: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], width: int) -> str:
    """Return a table as text, with ANSI colours, without spaces at the ends of lines.

    click strips the colours if the output is not a terminal.
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths, gap = _layout(columns, cells, width)
    lines = _lines(columns, [(column.title, "") for column in columns], widths, gap)
    # Not rich's tables: they take a third of a millisecond for each row (docs/architecture.md).
    lines.append(_RULE * (sum(widths) + len(gap) * (len(widths) - 1)))
    for row in cells:
        lines += _lines(columns, row, widths, gap)
    return "\n".join(lines)


def _cell(cell: Cell) -> tuple[str, str]:
    text, colour = (cell, "") if isinstance(cell, str) else cell
    return one_line(_LINE_ENDS.sub(" ", text)), colour


def _layout(
    columns: Sequence[Column], rows: Sequence[Sequence[tuple[str, str]]], width: int
) -> tuple[list[int], str]:
    """Return the widths of columns and the gap between them, as wide as there is room for."""
    texts = [[column.title, *(row[i][0] for row in rows)] for i, column in enumerate(columns)]
    needed = [max(map(cell_len, column)) for column in texts]
    widths, gap = needed, _GAP
    # The last layout is taken even if it is too wide: nothing is cut off.
    for gap, narrowest, is_tight in _LAYOUTS:
        widths = needed
        if sum(needed) + len(gap) * (len(needed) - 1) > width:
            least = [
                narrowest if column.folds else _longest_word(found) if is_tight else most
                for column, found, most in zip(columns, texts, needed, strict=True)
            ]
            widths = _shrunk(needed, least, width - len(gap) * (len(needed) - 1))
        if sum(widths) + len(gap) * (len(widths) - 1) <= width:
            break
    return widths, gap


def _longest_word(texts: Sequence[str]) -> int:
    return max((cell_len(word) for text in texts for word in text.split(" ")), default=0)


def _shrunk(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Make the widest columns narrower until all fit, or none may become narrower."""
    shrunk = list(widths)
    while sum(shrunk) > room:
        wide = [i for i, narrowest in enumerate(least) if shrunk[i] > narrowest]
        if not wide:
            break
        # One column of text at a time, so that two wide columns end up equal.
        shrunk[max(wide, key=shrunk.__getitem__)] -= 1
    return shrunk


def _lines(
    columns: Sequence[Column], row: Sequence[tuple[str, str]], widths: Sequence[int], gap: str
) -> list[str]:
    """Return the lines of a row."""
    folded = [_folded(text, width) for (text, _), width in zip(row, widths, strict=True)]
    lines = []
    for parts in zip_longest(*folded, fillvalue=""):
        padded = [
            _padded(part, colour, width, is_number=column.is_number)
            for part, (_, colour), width, column in zip(parts, row, widths, columns, strict=True)
        ]
        # Padding goes outside the colours.
        lines.append(gap.join(padded).rstrip(" "))
    return lines


def _padded(text: str, colour: str, width: int, *, is_number: bool) -> str:
    # `len` counts characters; East Asian ones and emoji take two columns
    # (https://www.unicode.org/reports/tr11/).
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
        lines += _broken(word, width)
    # The first line is empty if its first word was too long.
    return [line for line in lines if line]


def _broken(word: str, width: int) -> list[str]:
    """Break a word, such as a path, into lines: after a separator, if that is possible."""
    lines = [""]
    for part in _PARTS.findall(word):
        if cell_len(lines[-1] + part) <= width:
            lines[-1] += part
        else:
            lines += chop_cells(part, width)
    return lines
