"""Notebooks, results and the report: as lists, one in detail, as a page."""

from __future__ import annotations

import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from sphinx_nbcache.cli.documents import (
    FailureItem,
    NotebookDetails,
    NotebookItem,
    NotebookList,
    ResultDetails,
    ResultList,
    TraceItem,
)
from sphinx_nbcache.cli.items import (
    info_of,
    notebook_item,
    notebook_items,
    present_results,
    result_details,
    result_items,
    trace_item,
)
from sphinx_nbcache.cli.options import as_reference
from sphinx_nbcache.cli.tables import (
    Column,
    failure_in_words,
    last_parts,
    status_in_words,
    table,
    utc_minute,
)
from sphinx_nbcache.planning import Action
from sphinx_nbcache.project import Project
from sphinx_nbcache.project.handed_in import ADDED
from sphinx_nbcache.project.outcomes import NotebookOutcome, planned_outcome
from sphinx_nbcache.project.requests import Reference
from sphinx_nbcache.report.html.page import standalone_page
from sphinx_nbcache.report.making import draft_of_plan
from sphinx_nbcache.report.model import Report
from sphinx_nbcache.report.side_files import write_text
from sphinx_nbcache.text import counted, duration_in_words, one_line, size_or_dash

# Enough digits of a digest to tell results apart.
_DIGITS = 12
_ID, _PATH = Column("ID", is_number=True), Column("Path", folds=True)


def notebook_list(project: Project, references: Sequence[Reference] | None = None) -> NotebookList:
    """Return the list of notebooks; by default of all.

    Raises:
        UnknownReferenceError: A notebook is unknown.
    """
    notebooks = list(project.notebooks)
    if references is not None:
        notebooks = project.notebooks.find(references)
    # One plan for all: each plan reads the state of files and packages once.
    plan = project.plan([item.id for item in notebooks])
    return NotebookList(
        root=str(project.root),
        store=str(project.store.folder),
        notebooks=tuple(notebook_items(project, notebooks, plan)),
    )


def result_list(project: Project, *, latest_only: bool) -> ResultList:
    """Return the list of all results, or of the newest one of each notebook."""
    items = result_items(project, latest_only=latest_only)
    return ResultList(store=str(project.store.folder), results=tuple(items))


def list_text(
    listed: NotebookList, width: int, *, path_length: int | None, with_assets: bool
) -> str:
    """Return the table of `project list`."""
    if not listed.notebooks:
        return "No notebooks in project"
    columns = [_ID, _PATH, Column("Reader"), Column("Added (UTC)"), Column("Status")]
    rows = [
        (
            str(item.id),
            last_parts(item.path, path_length),
            item.reader or "-",
            utc_minute(item.added),
            status_in_words(item.status),
            # The last column is cut off below if it was not asked for.
            str(len(item.assets)),
        )
        for item in listed.notebooks
    ]
    if with_assets:
        return table([*columns, Column("Assets", is_number=True)], rows, width)
    return table(columns, [row[:-1] for row in rows], width)


def plan_text(listed: NotebookList, width: int) -> str:
    """Return the table of `project plan`, with a line of totals."""
    items = listed.notebooks
    if not items:
        return "No notebooks in project"
    columns = [_ID, _PATH, Column("Action"), Column("Reason", folds=True)]
    rows = [(str(item.id), item.path, item.action or item.status, item.reason) for item in items]
    to_run = sum(item.action == "execute" for item in items)
    totals = f"{to_run} of {counted(len(items), 'notebook')} to execute"
    return f"{table(columns, rows, width)}\n{totals}"


def results_text(listed: ResultList, width: int, *, path_length: int | None, hashkeys: bool) -> str:
    """Return the table of `cache list`."""
    if not listed.results:
        return "No results in the store"
    columns = [_ID, Column("Notebook", folds=True), Column("Status")]
    columns += [Column("Created (UTC)"), Column("Accessed (UTC)")]
    rows = [
        (
            str(item.id),
            last_parts(item.notebook, path_length),
            status_in_words(item.status),
            utc_minute(item.created),
            utc_minute(item.accessed),
            item.digest[:_DIGITS],
        )
        for item in listed.results
    ]
    if hashkeys:
        return table([*columns, Column("Hashkey")], rows, width)
    return table(columns, [row[:-1] for row in rows], width)


def details_of_notebook(project: Project, reference: str) -> NotebookDetails:
    """Return the details of a notebook of the project.

    Raises:
        UnknownReferenceError: The reference is unknown, or its result is no longer there.
    """
    registered = project.notebooks.get(as_reference(reference))
    plan = project.plan([registered.id])
    # Empty if the file is missing or not a notebook.
    planned = next(iter(plan), None)
    stored = present_results(project, plan).get(registered.name)
    scan = planned.scan if planned is not None else None
    # For a notebook that would be run again, the trace of the newest run of this code says why.
    latest = project.store.results(planned.code_key) if planned is not None else []
    traced = stored or next(iter(latest), None)
    trace = project.results.trace(traced) if traced is not None else None
    return NotebookDetails(
        notebook=notebook_item(project, registered, planned, stored),
        code_key=planned.code_key if planned is not None else None,
        result=result_details(info_of(project, stored), stored.result, scan) if stored else None,
        trace=trace_item(trace) if trace is not None else None,
    )


def details_of_result(project: Project, reference: str) -> ResultDetails:
    """Return the details of a result.

    Raises:
        UnknownReferenceError: The reference is unknown.
    """
    stored = project.results.get(as_reference(reference))
    # Without a scan: the notebook may have changed since, so its lines would be wrong.
    return result_details(info_of(project, stored), stored.result)


def notebook_text(details: NotebookDetails, *, traceback: bool) -> str:
    """Return the lines of `project show`."""
    notebook = details.notebook
    lines = [
        f"ID: notebook {notebook.id}",
        # Names and reasons come from files: as one line, they cannot fake another field.
        f"Path: {one_line(notebook.path)}",
        f"Reader: {one_line(notebook.reader or 'by suffix')}",
        f"Added: {utc_minute(notebook.added)} UTC",
        f"Status: {status_in_words(notebook.status)[0]}",
    ]
    lines.append(f"Next: {notebook.action or 'nothing'} ({notebook.reason})")
    if details.result is not None:
        lines += _statistics(details.result)
    if notebook.assets:
        lines += ["Assets:", *(f"- {one_line(asset)}" for asset in notebook.assets)]
    if details.result is not None:
        lines += _failure_lines(details.result.failure, traceback=traceback)
    return "\n".join(lines)


def result_text(result: ResultDetails, *, traceback: bool) -> str:
    """Return the lines of `cache show`."""
    lines = [
        f"ID: result {result.id}",
        f"Notebook: {one_line(result.notebook)}",
        f"Status: {status_in_words(result.status)[0]} {result.status}",
        f"Created: {utc_minute(result.created)} UTC",
        f"Accessed: {utc_minute(result.accessed)}" + (" UTC" if result.accessed else ""),
        f"Digest: {result.digest}",
        f"Code key: {result.code_key}",
        f"Size: {size_or_dash(result.bytes)}",
        *_statistics(result),
    ]
    if result.artifacts:
        lines.append("Artifacts:")
        lines += [
            f"- {one_line(item.path)} ({size_or_dash(item.size)})" for item in result.artifacts
        ]
    return "\n".join(lines + _failure_lines(result.failure, traceback=traceback))


def explanation(details: NotebookDetails, *, every_fact: bool = False) -> str:
    """Return the lines of `explain`.

    Args:
        details: The details of the notebook.
        every_fact: Whether to list also the facts that every run depends on.
    """
    notebook, result = details.notebook, details.result
    lines = [f"{one_line(notebook.path)} {_sentence(notebook)}: {notebook.reason}."]
    if details.code_key is not None:
        lines.append(f"Its code key is {details.code_key}.")
    if result is not None:
        lines.append(
            f"Result {result.id} of this code: {result.status}, made at"
            f" {utc_minute(result.created)} UTC from {one_line(result.notebook)}"
            f" in {duration_in_words(result.seconds)}."
        )
    elif notebook.action == "execute" and details.trace is None:
        lines.append("The store has no result of this code that could be used.")
    if details.trace is not None:
        lines += _trace_lines(details.trace, every_fact=every_fact)
    return "\n".join(lines)


def _sentence(notebook: NotebookItem) -> str:
    if notebook.action is None:  # it cannot be planned
        return NotebookOutcome.UNREADABLE.sentence
    return planned_outcome(Action(notebook.action)).sentence


def _trace_lines(trace: TraceItem, *, every_fact: bool) -> list[str]:
    """Return the dependencies of a run, one line for each fact."""
    shown = [fact.text for fact in trace.facts if every_fact or not fact.baseline]
    hidden = len(trace.facts) - len(shown)
    lines = []
    # First, because it makes all that follows irrelevant for a decision.
    if trace.unreliable is not None:
        lines.append(f"That result cannot be reused: {one_line(trace.unreliable)}.")
    if trace.tracked is None:
        lines.append("The dependencies of its run were not tracked: only declared ones count.")
    elif not trace.facts:
        lines.append("Nothing but its code counts.")
    if trace.tracer == "system":
        lines.append("The system has told what each of its processes did.")
    if shown:
        lines.append("The last run of this code depended on:")
        lines += [f"- {one_line(text)}" for text in shown]
    if hidden:
        also = "also " if shown else ""
        lines.append(
            f"It {also}depended on {counted(hidden, 'thing')} that every run depends on, such as"
            " the version of Python; -v lists them."
        )
    for title, listed in (
        ("It wrote:", trace.written),
        ("It removed:", trace.removed),
        ("Not tracked:", trace.untracked),
    ):
        if listed:
            lines += [title, *(f"- {one_line(item)}" for item in listed)]
    return lines


def _statistics(result: ResultDetails) -> list[str]:
    run = [cell.seconds for cell in result.cells if cell.seconds is not None]
    kernel = f"kernel {one_line(result.kernel) or 'unknown'}"
    # The times in such a notebook are those of its editor, if there are any.
    if result.executor == ADDED:
        return [f"Executed elsewhere, {kernel}"]
    lines = [
        f"Executed by: {one_line(result.executor)}, {kernel}",
        (
            f"Execution: {duration_in_words(result.seconds)}, "
            f"{len(run)} of {len(result.cells)} code cells run"
        ),
    ]
    if result.retried:
        lines.append(f"Attempts: {len(result.retried) + 1}")
        lines += [f"- {_in_a_line(failure)}" for failure in result.retried]
    if run:
        longest = max(run)
        position = [cell.seconds for cell in result.cells].index(longest) + 1
        lines.append(f"Longest cell: number {position}, {duration_in_words(longest)}")
    return lines


def _failure_lines(failure: FailureItem | None, *, traceback: bool) -> list[str]:
    if failure is None:
        return []
    lines = [_in_a_line(failure)]
    # With its colours, which click strips if the output is not a terminal.
    return [*lines, failure.traceback.rstrip()] if traceback else lines


def _in_a_line(failure: FailureItem) -> str:
    start = "Failed:" if failure.cell is None else "Failed in"
    line = "" if failure.line is None else f" (line {failure.line} of the file)"
    return f"{start} {failure_in_words(failure)}{line}"


def present_report(project: Project) -> Report:
    """Return the report on the current state of the project."""
    plan = project.plan()
    present = present_results(project, plan)
    # Nothing is run, so the report shows what a build would decide now.
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
            "-" if entry.seconds is None else duration_in_words(entry.seconds),
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
        # Not removed afterwards: the browser reads it after this process has ended. The folder is
        # private, unlike a file in a shared one
        # (https://docs.python.org/3/library/tempfile.html#tempfile.mkdtemp).
        path = Path(tempfile.mkdtemp(prefix="nbcache-")) / "nbcache-report.html"
    write_text(path, standalone_page(report, f"Notebooks of {project.root.name}"))
    return path


def show_page(path: Path) -> bool:
    """Open a page in the user's browser; return whether there is one."""
    # False without a browser, as on servers
    # (https://docs.python.org/3/library/webbrowser.html#webbrowser.open).
    return webbrowser.open(path.absolute().as_uri())
