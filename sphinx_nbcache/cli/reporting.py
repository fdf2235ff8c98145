"""The state of all notebooks, as the report has it, without running any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx_nbcache.cli.as_json import FailureItem, ReportDocument, ReportEntryItem
from sphinx_nbcache.cli.items import utc_time
from sphinx_nbcache.cli.tables import Column, table
from sphinx_nbcache.report.model import ReportEntry, in_words, report_of_plan

if TYPE_CHECKING:
    from sphinx_nbcache.project import Project


def report_document(project: Project) -> ReportDocument:
    """Return the report on the project as it stands."""
    report = report_of_plan(project.plan())
    return ReportDocument(summary=report.summary, notebooks=tuple(map(_item, report.entries)))


def report_text(document: ReportDocument, width: int) -> str:
    """Return a report as a table, with the totals below."""
    columns = [Column("Notebook", folds=True), Column("Decision"), Column("Reason", folds=True)]
    columns += [Column("Status"), Column("Time", is_number=True)]
    rows = [
        (
            entry.path,
            entry.decision,
            entry.reason,
            entry.status or "-",
            "-" if entry.seconds is None else in_words(entry.seconds),
        )
        for entry in document.notebooks
    ]
    return f"{table(columns, rows, width)}\n{document.summary}" if rows else "No notebooks"


def _item(entry: ReportEntry) -> ReportEntryItem:
    failure = entry.failure
    return ReportEntryItem(
        path=entry.name,
        decision=entry.decision,
        reason=entry.reason,
        status=entry.status or None,
        failed=entry.failed,
        started=None if entry.started is None else utc_time(entry.started),
        seconds=entry.seconds,
        failure=None
        if failure is None
        else FailureItem(
            name=failure.name,
            message=failure.message,
            cell=entry.failed_cell,
            traceback=failure.traceback,
        ),
    )
