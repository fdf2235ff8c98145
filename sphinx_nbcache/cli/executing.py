"""Executes notebooks of the project by command, or compares outputs, and says what happened."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sphinx_nbcache.cli.adding import files_in
from sphinx_nbcache.cli.documents import (
    ComparedItem,
    DifferingCellItem,
    ExecutionSummary,
    NotebookItem,
    SettledItem,
)
from sphinx_nbcache.cli.items import MISSING, failure_item, notebook_items, settled_item
from sphinx_nbcache.cli.options import DEBUG, USUAL, given
from sphinx_nbcache.cli.output import say, tell, warn
from sphinx_nbcache.cli.progress import progress
from sphinx_nbcache.cli.session import as_references
from sphinx_nbcache.cli.tables import failure_in_words
from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.planning import Plan
from sphinx_nbcache.project import (
    Comparison,
    NotebookFailedError,
    Progress,
    Project,
    Run,
    UnknownReferenceError,
    notices_of,
)
from sphinx_nbcache.project.outcomes import NotebookOutcome
from sphinx_nbcache.project.requests import Reference
from sphinx_nbcache.report.ci import is_github, serve_github
from sphinx_nbcache.report.making import draft
from sphinx_nbcache.results.records import Registered
from sphinx_nbcache.text import counted, duration_in_words, one_line


def compare_outputs(project: Project, run: Run, progress: Progress) -> Sequence[Comparison]:
    """Run the reused notebooks again."""
    tell("Once more, to compare outputs")
    return project.check_reproducible(run, progress)


def compared_item(comparison: Comparison, ids: Mapping[str, int]) -> ComparedItem:
    """Return the item for a notebook that was run again.

    Args:
        comparison: The comparison of its outputs.
        ids: The ids of notebooks, by name.
    """
    planned = comparison.planned
    return ComparedItem(
        id=ids[planned.name],
        path=planned.name,
        result=comparison.result.id,
        same=comparison.is_same,
        cells=tuple(
            DifferingCellItem(cell=d.cell.number, line=d.cell.line or None, diff=d.diff)
            for d in comparison.cells
        ),
        failure=failure_item(comparison.again.failure, planned.scan, comparison.again.cells),
    )


def comparison_lines(compared: Sequence[ComparedItem]) -> list[str]:
    """Return the differences as lines."""
    if not compared:
        return ["Nothing was compared: no notebook had an earlier result."]
    differing = [item for item in compared if not item.same]
    total = counted(len(compared), "notebook")
    lines = [f"Run again: {total}, {len(differing)} with other outputs."]
    for item in differing:
        lines.append(f"- {item.path} (result {item.result})")
        if item.failure is not None:
            lines.append(f"  the second run failed: {failure_in_words(item.failure)}")
        for cell in item.cells:
            where = "" if cell.line is None else f" (line {cell.line})"
            lines.append(f"  code cell {cell.cell}{where}:")
            lines += [f"    {line}" for line in cell.diff.splitlines()]
    return lines


def named_notebooks(project: Project, texts: Sequence[str]) -> list[Registered]:
    """Return the notebooks that were named; files that are not in the project are added to it.

    Args:
        project: The project.
        texts: References to notebooks, as given; none means all. A folder stands for
            the notebooks below it.

    Raises:
        ProjectError: A reference is unknown, or not a notebook. Nothing is added then.
    """
    if (wanted := as_references(texts)) is None:
        return list(project.notebooks)
    files: list[Reference] = []
    for reference in wanted:
        # A folder is looked up each time, so that notebooks added to it are found.
        files += files_in(project, reference) if isinstance(reference, Path) else [reference]
    # Added before they are looked up: a path is a valid reference only then.
    _add_new(project, files)
    return project.notebooks.find(files)


def execute_notebooks(
    project: Project, meant: Sequence[Registered], *, compare: bool = False
) -> ExecutionSummary:
    """Execute notebooks without a valid result; warn about problems in their sources.

    Args:
        project: The project.
        meant: The notebooks.
        compare: Whether to run reused notebooks again, and to compare outputs.
    """
    made = project.plan([item.id for item in meant], remote=True)
    with progress() as told:
        try:
            run = project.execute(_in_order(made, meant), told)
        except NotebookFailedError as error:
            # The rest was not run, and is no part of the summary.
            run, compare = error.run, False
            tell('Stopped at the first failure, as nbcache_on_error is "stop"')
        # Within the display of progress: these are runs as well.
        compared = compare_outputs(project, run, told) if compare else None
    notices = [n for settled in run.notebooks for n in notices_of(settled, project.settings)]
    for notice in notices:
        # Failures are in the summary, with their place.
        if notice.topic is Topic.SOURCE:
            warn(notice)
    if is_github(project.settings.ci, os.environ):
        _annotate(project, run, notices)
    ids = {item.name: item.id for item in meant}
    items = [settled_item(item, ids[item.planned.name]) for item in run.notebooks]
    items += [_unplanned(item) for item in _left_out(project, meant, made)]
    again = None if compared is None else tuple(compared_item(c, ids) for c in compared)
    return ExecutionSummary(seconds=run.seconds, notebooks=tuple(items), compared=again)


def _annotate(project: Project, run: Run, notices: Sequence[Notice]) -> None:
    """Show a run in GitHub Actions, on standard error: standard output may be JSON."""
    made = draft(run, {}, project.past_runs).outline
    try:
        # GitHub finds its commands in both streams
        # (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
        serve_github(notices, made, project.root.name, os.environ, sys.stderr)
    except OSError as error:
        text = f"the summary of the job cannot be written: {trouble_in_words(error)}"
        warn(Notice(Topic.REPORT, text))


def say_summary(summary: ExecutionSummary, *, tracebacks: bool) -> None:
    """Write the outcome, in as much detail as the user asked for."""
    if text := summary_text(summary, verbosity=given().verbosity, tracebacks=tracebacks):
        say(text)


def summary_text(summary: ExecutionSummary, *, verbosity: int, tracebacks: bool) -> str:
    """Return the outcome: totals, then the notebooks that were executed or failed.

    Args:
        summary: The outcome.
        verbosity: How much is shown; below [](USUAL), totals and successes are left out.
        tracebacks: Whether to show the traceback of each failure.
    """
    failed = [item for item in summary.notebooks if item.failed]
    lines = _done_lines(summary.notebooks, verbosity) if verbosity >= USUAL else []
    if failed:
        lines.append("failed:")
        for item in failed:
            lines.append(f"- {_failed_line(item)}")
            if tracebacks and item.failure is not None:
                # Indented, so that the next notebook can be found.
                lines += [f"  {line}" for line in item.failure.traceback.rstrip().splitlines()]
    if summary.compared is not None:
        lines += comparison_lines(summary.compared)
    return "\n".join(lines)


def tell_what_helps(project: Project, summary: ExecutionSummary) -> None:
    """Name the commands that show why a notebook failed, and that forget one without a file."""
    gone = [item.path for item in summary.notebooks if item.outcome == MISSING]
    if gone:
        # The same project, even if the user called the command with `--conf` from elsewhere.
        words = ["sphinx-nbcache", *_given_options(), "project", "remove"]
        paths = [os.path.relpath(project.root / path) for path in gone]
        tell(f"To remove missing files from the list: {shlex.join([*words, *paths])}")
    failed = [item for item in summary.notebooks if item.failure is not None]
    if failed:
        path = os.path.relpath(project.root / failed[0].path)
        words = ["sphinx-nbcache", *_given_options(), "show", path]
        each = "" if len(failed) == 1 else ", and so for the others"
        tell(f"To see the traceback: {shlex.join(words)}{each}")


def _given_options() -> list[str]:
    """Return the options that select the project, as they were given."""
    asked = given()
    named = {"--conf": asked.conf, "--cache-path": asked.cache_path}
    # As they were given: relative paths stay valid in the same folder.
    return [word for name, path in named.items() if path for word in (name, os.fspath(path))]


def _done_lines(items: Sequence[SettledItem], verbosity: int) -> list[str]:
    executed = [item for item in items if item.outcome == "executed" and not item.failed]
    totals = [f"{len(executed)} succeeded", f"{sum(item.failed for item in items)} failed"]
    for outcome in NotebookOutcome:
        others = sum(item.outcome == outcome.item and not item.failed for item in items)
        if others and outcome.counted:
            totals.append(f"{others} {outcome.counted}")
    lines = [f"Finished! {', '.join(totals)}."]
    if executed:
        lines.append("succeeded:")
    for item in executed:
        seconds = f" in {duration_in_words(item.seconds or 0.0)}" if verbosity >= DEBUG else ""
        lines.append(f"- {item.path} (result {item.result}){seconds}")
    return lines


def _add_new(project: Project, wanted: Sequence[Reference]) -> None:
    """Add the files that are not in the project, unless another reference is unknown."""
    new = []
    for reference in wanted:
        try:
            project.notebooks.get(reference)
        except UnknownReferenceError:
            # A text that is no number and no existing path (see `as_reference`).
            if isinstance(reference, str):
                raise UnknownReferenceError(_no_such_file(reference)) from None
            if not isinstance(reference, Path):
                raise
            new.append(reference)
    # After the loop, so that nothing is added if a later reference is wrong.
    for added in project.notebooks.add(new) if new else ():
        tell(f"Added: {added.name}")


def _no_such_file(reference: str) -> str:
    if os.path.islink(reference):  # noqa: PTH114 (Path raises an error for invalid paths)
        target = os.readlink(reference)  # noqa: PTH115 (as above)
        return f"{reference} is a link to a file that does not exist: {target}"
    return f"there is no such file: {reference}"


def _in_order(made: Plan, meant: Sequence[Registered]) -> Plan:
    """Return a plan in the order in which the user added its notebooks."""
    ids = {item.name: item.id for item in meant}
    # Plans are ordered by name; users who added notebooks one by one expect their own order.
    ordered = sorted(made.notebooks, key=lambda planned: ids[planned.name])
    return replace(made, notebooks=tuple(ordered))


def _left_out(project: Project, meant: Sequence[Registered], made: Plan) -> list[NotebookItem]:
    """Return the notebooks that cannot be planned: files that are missing or not notebooks.

    A missing file that a build registered is not an error: the next build will not find it.
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
    number = "" if item.result is None else f" (result {item.result})"
    if item.failure is None:
        return f"{item.path}{number}: {item.reason}"
    line = "" if item.failure.line is None else f":{item.failure.line}"
    return f"{one_line(item.path)}{line}{number}: {failure_in_words(item.failure)}"
