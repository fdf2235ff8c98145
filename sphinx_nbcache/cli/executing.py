"""Executing notebooks of the project by command, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sphinx_nbcache.cli.as_json import ExecutionSummary, NotebookItem, SettledItem
from sphinx_nbcache.cli.comparing import compare_outputs, compared_item, comparison_lines
from sphinx_nbcache.cli.items import notebook_items, settled_item
from sphinx_nbcache.cli.output import tell, warn
from sphinx_nbcache.cli.progress import progress
from sphinx_nbcache.cli.session import as_references
from sphinx_nbcache.notices import Topic
from sphinx_nbcache.planning import Plan
from sphinx_nbcache.printable import one_line
from sphinx_nbcache.project import Project, UnknownReferenceError, notices_of
from sphinx_nbcache.project.references import Reference
from sphinx_nbcache.report.making import draft
from sphinx_nbcache.store.records import Registered

_OTHERS = {
    "reused": "up to date",
    "as-is": "not to be executed",
    "removed": "removed meanwhile",
    "edited": "being edited",
}


def execute_notebooks(
    project: Project, texts: Sequence[str], *, compare: bool = False
) -> ExecutionSummary:
    """Execute what has no valid result; warn about sources that have something wrong.

    Args:
        project: The project.
        texts: References to notebooks, as they were given; none means all. Files that are not in
            the project are added to it.
        compare: Whether to run again what was reused, and to compare outputs.

    Raises:
        UnknownReferenceError: A notebook is unknown. Nothing is done then.
    """
    wanted = as_references(texts)
    if wanted is not None:
        _add_new(project, wanted)
    meant = list(project.notebooks) if wanted is None else project.notebooks.find(wanted)
    if not meant:
        tell("There are no notebooks in the project; `project add` adds some")
    made = project.plan([item.id for item in meant])
    with progress() as told:
        run = project.execute(_in_order(made, meant), told)
        compared = compare_outputs(project, run, told) if compare else None
    # To a script, the text of a run is the same each time.
    summary = draft(run, {}).outline.summary
    tell(summary, level=0 if sys.stderr.isatty() else 1)
    for settled in run.notebooks:
        for notice in notices_of(settled, project.settings):
            if notice.topic is Topic.SOURCE:
                warn(notice)
    ids = {item.name: item.id for item in meant}
    items = [settled_item(item, ids[item.planned.name]) for item in run.notebooks]
    items += [_unplanned(item) for item in _left_out(project, meant, made)]
    again = None if compared is None else tuple(compared_item(c, ids) for c in compared)
    return ExecutionSummary(seconds=run.seconds, notebooks=tuple(items), compared=again)


def summary_text(summary: ExecutionSummary) -> str:
    """Return what came of it: totals, then the notebooks that were executed or failed."""
    items = summary.notebooks
    failed = [item for item in items if item.failed]
    executed = [item for item in items if item.outcome == "executed" and not item.failed]
    totals = [f"{len(executed)} succeeded", f"{len(failed)} failed"]
    for outcome, words in _OTHERS.items():
        if others := sum(item.outcome == outcome and not item.failed for item in items):
            totals.append(f"{others} {words}")
    lines = [f"Finished! {', '.join(totals)}."]
    if executed:
        lines += ["succeeded:", *(f"- {item.path} [{item.result}]" for item in executed)]
    if failed:
        lines += ["failed:", *(f"- {_failed_line(item)}" for item in failed)]
    if summary.compared is not None:
        lines += comparison_lines(summary.compared)
    return "\n".join(lines)


def _add_new(project: Project, wanted: Sequence[Reference]) -> None:
    """Add the files that are not in the project, unless something else is unknown."""
    new = []
    for reference in wanted:
        try:
            project.notebooks.get(reference)
        except UnknownReferenceError:
            if not isinstance(reference, Path):
                raise
            new.append(reference)
    for added in project.notebooks.add(new) if new else ():
        tell(f"Added: {added.name} [{added.id}]")


def _in_order(made: Plan, meant: Sequence[Registered]) -> Plan:
    """Return a plan in the order in which its notebooks were added, which is a user's own."""
    ids = {item.name: item.id for item in meant}
    ordered = sorted(made.notebooks, key=lambda planned: ids[planned.name])
    return replace(made, notebooks=tuple(ordered))


def _left_out(project: Project, meant: Sequence[Registered], made: Plan) -> list[NotebookItem]:
    """Return the notebooks that cannot be planned: their files have gone, or are none.

    What a build has found and has gone since is no fault: the next build will not find it.
    """
    names = {planned.name for planned in made}
    lost = [item for item in meant if item.name not in names and not item.by_build]
    return notebook_items(project, lost, made)


def _unplanned(item: NotebookItem) -> SettledItem:
    return SettledItem(
        id=item.id,
        path=item.path,
        outcome=item.status,
        failed=True,
        reason=item.reason,
        result=None,
        status=None,
        seconds=None,
        failure=None,
    )


def _failed_line(item: SettledItem) -> str:
    number = "" if item.result is None else f" [{item.result}]"
    if item.failure is None:
        return f"{item.path}{number}: {item.reason}"
    where = "" if item.failure.cell is None else f"code cell {item.failure.cell}: "
    message = item.failure.message.strip().partition("\n")[0]
    return one_line(f"{item.path}{number}: {where}{item.failure.name}: {message}")
