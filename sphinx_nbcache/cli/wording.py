"""Times, sizes, paths and states in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sphinx_nbcache.printable import one_line
from sphinx_nbcache.report import words

if TYPE_CHECKING:
    from sphinx_nbcache.cli.as_json import FailureItem

# A state that is not listed here has no symbol; the word itself is written.
_SYMBOLS = {
    "ok": ("✅", "green"),
    "failed": ("❌", "red"),
    "timeout": ("❌", "red"),
    "died": ("❌", "red"),
    "unreadable": ("❗ unreadable", "red"),
    "missing": ("❗ missing", "red"),
    "none": ("-", ""),
    "as-is": ("as it is", ""),
}


def status_in_words(status: str) -> tuple[str, str]:
    """Return the words for a state, and their colour."""
    return _SYMBOLS.get(status, (status, ""))


def moment(when: datetime | None) -> str:
    """Return a time in UTC, to the minute."""
    return "-" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def shortened(path: str, parts: int | None) -> str:
    """Return the last parts of a path; all of it for `None`."""
    return path if parts is None else "/".join(path.split("/")[-parts:])


def size_in_words(size: int | None) -> str:
    """Return a readable number of bytes."""
    return "-" if size is None else words.size_in_words(size)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 notebook`, `2 notebooks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def failure_in_words(failure: FailureItem) -> str:
    """Return where and why a run failed, such as `code cell 2, line 3: ValueError: negative`."""
    line = "" if failure.line_in_cell is None else f", line {failure.line_in_cell}"
    where = "" if failure.cell is None else f"code cell {failure.cell}{line}: "
    message = failure.message.strip().partition("\n")[0]
    return one_line(f"{where}{failure.name}: {message}")
