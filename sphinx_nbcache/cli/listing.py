"""The notebooks of the project, and the results in its store, as lists."""

from __future__ import annotations

from collections.abc import Sequence

from sphinx_nbcache.cli.as_json import NotebookList, ResultList
from sphinx_nbcache.cli.items import notebook_items, result_items
from sphinx_nbcache.cli.tables import Column, table
from sphinx_nbcache.cli.wording import counted, moment, shortened, status_in_words
from sphinx_nbcache.project import Project
from sphinx_nbcache.project.references import Reference

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
            shortened(item.path, path_length),
            item.reader or "-",
            moment(item.added),
            status_in_words(item.status),
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
            shortened(item.notebook, path_length),
            status_in_words(item.status),
            moment(item.created),
            moment(item.accessed),
            item.digest[:_DIGITS],
        )
        for item in listed.results
    ]
    if hashkeys:
        return table([*columns, Column("Hashkey")], rows, width)
    return table(columns, [row[:-1] for row in rows], width)
