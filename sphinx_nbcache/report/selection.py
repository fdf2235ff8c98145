"""The notebooks that a view shows, their order, their columns, and where its links lead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sphinx_nbcache.files.paths import matching_glob
from sphinx_nbcache.project.outcomes import NotebookOutcome
from sphinx_nbcache.report.model import FAILED, Report, ReportEntry
from sphinx_nbcache.text import did_you_mean

STATUSES = tuple(
    dict.fromkeys([FAILED, "ok", "timeout", "died", *(o.label for o in NotebookOutcome)])
)
"""The words by which notebooks can be selected."""

COLUMNS: Mapping[str, str] = {
    "notebook": "Notebook",
    "decision": "Decision",
    "reason": "Reason",
    "status": "Status",
    "date": "Run at (UTC)",
    "time": "Time",
    "slowest": "Slowest cell",
    "memory": "Memory",
    "kernel": "Kernel",
    "executor": "Executor",
    "changed": "Changed",
    "depends": "Depends on",
    "produced": "Produced",
}
"""The columns of a table, by name."""

USUAL_COLUMNS = ("notebook", "decision", "reason", "status", "date", "time")
_VARYING = frozenset({"decision", "reason", "date", "time", "slowest", "memory", "changed"})

_SORTS: Mapping[str, Callable[[ReportEntry], Any]] = {
    "notebook": lambda entry: entry.name,
    "decision": lambda entry: entry.decision,
    "status": lambda entry: (not entry.failed, entry.state),
    "time": lambda entry: entry.seconds or 0.0,
    "date": lambda entry: entry.started or 0.0,
    "memory": lambda entry: entry.peak_memory or 0,
}
PARTS = ("figures", "failures", "notebooks")
"""The parts of the report: its totals, the failures, and the table with the chart."""

SORTS = tuple(_SORTS)
"""The columns by which notebooks can be sorted."""


def cell_id(number: int) -> str:
    """Return the id of a code cell in its page.

    No heading has such an id: docutils never writes an underscore into one.

    Args:
        number: Its number among all code cells, counted from 1.
    """
    return f"nbcache_cell_{number}"


def _nowhere(_name: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Links:
    """How a view refers to pages, their cells, and files. A missing target has an empty URI.

    Attributes:
        page: Returns the URI of a document.
        file: Returns the URI of a file in the output directory.
        has_cells: Whether cells have anchors in the pages.
    """

    page: Callable[[str], str] = _nowhere
    file: Callable[[str], str] = _nowhere
    has_cells: bool = False

    def cell(self, docname: str, number: int | None) -> str:
        """Return the URI of a code cell, or of its page, by its number."""
        uri = self.page(docname) if docname else ""
        if not uri or number is None or not self.has_cells or "#" in uri:
            return uri
        return f"{uri}#{cell_id(number)}"


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a report that a view shows.

    Attributes:
        status: Show notebooks for which one of these [](STATUSES) holds; empty: all.
        columns: Show nothing but a table with these [](COLUMNS); empty: the whole report.
        limit: Show at most this many notebooks.
        sort: The column to sort by, one of [](SORTS), with `-` before it for the reverse.
        docs: Show notebooks whose document matches one of these globs; empty: all.
        part: Show one of these [](PARTS) without its heading; empty: all of them.
    """

    status: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    limit: int | None = None
    sort: str = ""
    docs: tuple[str, ...] = ()
    part: str = ""

    def has(self, part: str) -> bool:
        """Tell whether a part of the report is shown."""
        return self.part in ("", part)

    def within(self, report: Report) -> Report:
        """Return the part of a report that is counted: the chosen documents."""
        if not self.docs:
            return report
        entries = tuple(e for e in report.entries if matching_glob(e.docname or e.name, self.docs))
        spent = sum(e.seconds or 0.0 for e in entries if e.decision == NotebookOutcome.EXECUTED)
        return replace(report, entries=entries, seconds=min(spent, report.seconds))

    def shown(self, report: Report) -> tuple[ReportEntry, ...]:
        """Return the notebooks to show, in their order."""
        entries: Iterable[ReportEntry] = report.entries
        if self.status:
            entries = [entry for entry in entries if entry.labels & self.status]
        if self.sort:
            key, is_reversed = _SORTS[self.sort.removeprefix("-")], self.sort.startswith("-")
            entries = sorted(entries, key=key, reverse=is_reversed)
        return tuple(entries)[: self.limit]

    def columns_of(self, report: Report) -> tuple[str, ...]:
        """Return the columns of a table: the chosen ones that the report does not leave out."""
        columns = self.columns or USUAL_COLUMNS
        if report.is_reproducible:
            columns = tuple(name for name in columns if name not in _VARYING)
        return columns or ("notebook",)


def words(text: str, known: Iterable[str], what: str) -> tuple[str, ...]:
    """Return the words of a list separated by commas or spaces.

    Raises:
        ValueError: A word is unknown, or there is none.
    """
    found = tuple(text.replace(",", " ").split())
    if not found:
        raise ValueError(f"{what} is empty; it takes: {', '.join(known)}")
    for word in found:
        if word not in known:
            meant = did_you_mean(word, known)
            raise ValueError(f"{what} {word!r} is unknown; it takes: {', '.join(known)}{meant}")
    return found
