"""Selects the notebooks, order and columns of a view, and resolves its links."""

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
"""The values of `:status:`."""

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
EXEC_TABLE: Mapping[str, str] = {
    "document": "Document",
    "modified": "Modified",
    "method": "Method",
    "seconds": "Run Time (s)",
    "status": "Status",
}
"""The columns of `nb-exec-table`, by name. Their heads are those of MyST-NB."""

USUAL_COLUMNS = ("notebook", "decision", "reason", "status", "date", "time")
# Columns that would make two builds of the same sources differ.
_VARYING = frozenset({"decision", "reason", "date", "time", "slowest", "memory", "changed"})
_VARYING |= {"modified", "method", "seconds"}

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

    Args:
        number: Its number among all code cells, counted from 1.
    """
    # No heading has such an id: `docutils.nodes.make_id` replaces underscores
    # (https://docutils.sourceforge.io/docs/ref/rst/directives.html#class).
    return f"nbcache_cell_{number}"


def _nowhere(_name: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Links:
    """Resolves links to pages, cells and files. A missing target has an empty URI.

    Attributes:
        page: Returns the URI of a document.
        file: Returns the URI of a file in the output directory.
        has_cells: Whether cells have anchors in the pages.
    """

    page: Callable[[str], str] = _nowhere
    file: Callable[[str], str] = _nowhere
    has_cells: bool = False

    def cell(self, docname: str, number: int | None) -> str:
        """Return the URI of a code cell, or of its page if the cell has no anchor."""
        uri = self.page(docname) if docname else ""
        # `singlehtml` refers to pages by fragments, and cells have the same ids in all of them.
        if not uri or number is None or not self.has_cells or "#" in uri:
            return uri
        return f"{uri}#{cell_id(number)}"


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a report that a view shows.

    Attributes:
        status: Show notebooks with one of these [](STATUSES); empty: all.
        columns: Show only a table with these [](COLUMNS) or [](EXEC_TABLE); empty: the whole
            report.
        limit: The maximum number of notebooks.
        sort: The column to sort by, one of [](SORTS); a leading `-` reverses the order.
        docs: Show notebooks whose document matches one of these globs; empty: all.
        part: Show only this one of [](PARTS), without its heading; empty: all of them.
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
        """Return the part of a report with the selected documents, for its totals."""
        if not self.docs:
            return report
        entries = tuple(e for e in report.entries if matching_glob(e.docname or e.name, self.docs))
        # Notebooks run in parallel, so the sum of their durations may exceed that of the build.
        spent = sum(e.seconds or 0.0 for e in entries if e.decision == NotebookOutcome.EXECUTED)
        return replace(report, entries=entries, seconds=min(spent, report.seconds))

    def shown(self, report: Report) -> tuple[ReportEntry, ...]:
        """Return the selected notebooks, sorted."""
        entries: Iterable[ReportEntry] = report.entries
        if self.status:
            entries = [entry for entry in entries if entry.labels & self.status]
        if self.sort:
            key, is_reversed = _SORTS[self.sort.removeprefix("-")], self.sort.startswith("-")
            entries = sorted(entries, key=key, reverse=is_reversed)
        return tuple(entries)[: self.limit]

    def columns_of(self, report: Report) -> tuple[str, ...]:
        """Return the columns of a table, without those that a reproducible report leaves out."""
        columns = self.columns or USUAL_COLUMNS
        if report.is_reproducible:
            columns = tuple(name for name in columns if name not in _VARYING)
        # docutils rejects a table without columns.
        return columns or ("notebook",)


def words(text: str, known: Iterable[str], what: str) -> tuple[str, ...]:
    """Return the words of a list with commas or spaces as separators.

    Raises:
        ValueError: A word is unknown, or the list is empty.
    """
    found = tuple(text.replace(",", " ").split())
    if not found:
        raise ValueError(f"{what} is empty; it takes: {', '.join(known)}")
    for word in found:
        if word not in known:
            meant = did_you_mean(word, known)
            raise ValueError(f"{what} {word!r} is unknown; it takes: {', '.join(known)}{meant}")
    return found
