"""The report on the state of all notebooks, without running any."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx_nbcache.cli.items import present_results
from sphinx_nbcache.cli.tables import Column, table
from sphinx_nbcache.report.files import write_text
from sphinx_nbcache.report.html.standalone import standalone_page
from sphinx_nbcache.report.making import draft_of_plan
from sphinx_nbcache.report.model import Report
from sphinx_nbcache.report.words import in_words

if TYPE_CHECKING:
    from sphinx_nbcache.project import Project


def present_report(project: Project) -> Report:
    """Return the report on the current state of the project."""
    plan = project.plan()
    present = present_results(project, plan)
    return draft_of_plan(plan, present, project.past_runs).whole(project.store)


def report_text(report: Report, width: int) -> str:
    """Return a report as a table, with the totals below."""
    columns = [Column("Notebook", folds=True), Column("Decision"), Column("Reason", folds=True)]
    columns += [Column("Status"), Column("Time", is_number=True)]
    rows = [
        (
            entry.name,
            entry.decision,
            entry.reason,
            entry.status or "-",
            "-" if entry.seconds is None else in_words(entry.seconds),
        )
        for entry in report.entries
    ]
    return f"{table(columns, rows, width)}\n{report.summary}" if rows else "No notebooks"


def write_page(report: Report, project: Project, path: Path | None) -> Path:
    """Write the report as a page of its own; return where it is.

    Args:
        report: The report.
        project: The project of the report.
        path: Where to write it; by default into a temporary folder.

    Raises:
        OSError: The page cannot be written.
    """
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="nbcache-")) / "nbcache-report.html"
    write_text(path, standalone_page(report, f"Notebooks of {project.root.name}"))
    return path


def show_page(path: Path) -> bool:
    """Open a page in the user's browser; return whether there is one."""
    return webbrowser.open(path.absolute().as_uri())
