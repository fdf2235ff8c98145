"""Commands that plan and execute: `execute`, `plan`, `explain`, `report`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.exits import Exit
from sphinx_nbcache.cli.groups import Command
from sphinx_nbcache.cli.output import say, say_json, tell, warn, width
from sphinx_nbcache.cli.session import as_references, opened
from sphinx_nbcache.cli.values import executor, seconds
from sphinx_nbcache.cli.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx_nbcache.cli.as_json import SettledItem
    from sphinx_nbcache.planning import Plan
    from sphinx_nbcache.project import Project, Run

_UNCHANGED = {
    "reused": "up to date",
    "as-is": "not to be executed",
    "refused": "refused",
    "unreadable": "unreadable",
}


@click.command(cls=Command)
@options.references
@click.option(
    "-e",
    "--executor",
    type=executor,
    metavar="NAME",
    help="How and where notebooks are run: local-serial, local-parallel, temp-serial,"
    " temp-parallel, or what another package announces.",
)
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="How many are run at once."
)
@click.option(
    "-t",
    "--timeout",
    type=seconds,
    metavar="SECONDS",
    help="How long a cell may take; 'none' for no limit.",
)
@click.option(
    "--allow-errors/--no-allow-errors",
    default=None,
    help="Go on behind a cell that raises an exception, and count the run as a success.",
)
@click.option("-f", "--force/--no-force", help="Execute also what has a valid result.")
@options.as_json
@options.common
@click.pass_context
def execute(
    ctx: click.Context, /, *, references: tuple[str, ...], as_json: bool, force: bool, **given: Any
) -> None:
    """Execute what has no valid result.

    That is looked for in the whole project, or among the notebooks that are named. Those that
    are not in the project yet are added to it. Where no Sphinx project was built, an executor
    that is named is used from then on.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    if force:
        chosen["execute"] = "force"
    with opened(**chosen) as project:
        if given["executor"] is not None:
            project.notebooks.choose_executor(given["executor"])
        run = _execute(project, references)
        items = _items_of(run, project)
        if as_json:
            from sphinx_nbcache.cli.as_json import ExecutionSummary

            say_json(ExecutionSummary(seconds=run.seconds, notebooks=tuple(items)))
        else:
            say(_summary(items))
        keeps = project.is_lasting
    if any(item.failed for item in items):
        ctx.exit(Exit.FAILED)
    if not keeps:
        ctx.exit(Exit.STORE)


@click.command(cls=Command)
@options.references
@options.as_json
@options.common
def plan(*, references: tuple[str, ...], as_json: bool) -> None:
    """Show what would be executed, and why. Nothing is run."""
    with opened() as project:
        from sphinx_nbcache.cli.items import notebook_items
        from sphinx_nbcache.cli.tables import Column, table

        made = project.plan(as_references(references))
        names = {planned.name for planned in made}
        listed = [item for item in project.notebooks if item.name in names]
        items = notebook_items(project, listed, made)
        if as_json:
            say_json(_notebook_list(project, items))
            return
        if not items:
            say("No notebooks in project")
            return
        columns = [Column("ID", is_number=True), Column("Path", folds=True), Column("Action")]
        rows = [(str(i.id), i.path, str(i.action), str(i.reason)) for i in items]
        say(table([*columns, Column("Reason", folds=True)], rows, width()))
        to_run = sum(item.action == "execute" for item in items)
        say(f"{to_run} of {counted(len(items), 'notebook')} to execute")


@click.command(cls=Command)
@options.reference
@options.as_json
@options.common
def explain(*, reference: str, as_json: bool) -> None:
    """Say whether a notebook would be executed, and why."""
    with opened() as project:
        from sphinx_nbcache.cli.details import details_of_notebook, explanation

        details = details_of_notebook(project, reference)
        if as_json:
            say_json(details)
        else:
            say(explanation(details))


@click.command(cls=Command)
@options.as_json
@options.common
def report(*, as_json: bool) -> None:
    """Show the state of all notebooks of the project. Nothing is run."""
    with opened() as project:
        from sphinx_nbcache.cli.reporting import report_document, report_text

        document = report_document(project)
        if as_json:
            say_json(document)
        else:
            say(report_text(document, width()))


def _execute(project: Project, references: Sequence[str]) -> Run:
    from sphinx_nbcache.cli.progress import progress
    from sphinx_nbcache.notices import Topic
    from sphinx_nbcache.project import notices_of

    wanted = as_references(references)
    if wanted is not None:
        _add_new(project, [item for item in wanted if isinstance(item, Path)])
    made = _in_order_of_ids(project.plan(wanted), project)
    if not len(made):
        tell("There are no notebooks in the project; `project add` adds some")
    with progress() as told:
        run = project.execute(made, told)
    for settled in run.notebooks:
        for notice in notices_of(settled, project.settings):
            if notice.topic is Topic.SOURCE:
                warn(notice)
    return run


def _in_order_of_ids(made: Plan, project: Project) -> Plan:
    """Return a plan in the order in which its notebooks were added, which is a user's own."""
    ids = {item.name: item.id for item in project.notebooks}
    ordered = sorted(made.notebooks, key=lambda planned: ids.get(planned.name, 0))
    return replace(made, notebooks=tuple(ordered))


def _add_new(project: Project, paths: Sequence[Path]) -> None:
    from sphinx_nbcache.project.errors import UnknownReferenceError

    for path in paths:
        try:
            project.notebooks.get(path)
        except UnknownReferenceError:
            for added in project.notebooks.add([path]):
                tell(f"Added: {added.name} [{added.id}]")


def _items_of(run: Run, project: Project) -> list[SettledItem]:
    from sphinx_nbcache.cli.items import settled_items

    return settled_items(run.notebooks, project.notebooks)


def _notebook_list(project: Project, items: Sequence[Any]) -> Any:
    from sphinx_nbcache.cli.as_json import NotebookList

    return NotebookList(
        root=str(project.root), store=str(project.store.folder), notebooks=tuple(items)
    )


def _summary(items: Sequence[SettledItem]) -> str:
    """Return what came of an execution: totals, then the notebooks that were run or failed."""
    failed = [item for item in items if item.failed]
    executed = [item for item in items if item.outcome == "executed" and not item.failed]
    totals = [f"{len(executed)} succeeded", f"{len(failed)} failed"]
    for outcome, words in _UNCHANGED.items():
        if others := sum(item.outcome == outcome and not item.failed for item in items):
            totals.append(f"{others} {words}")
    lines = [f"Finished! {', '.join(totals)}."]
    if executed:
        lines += ["succeeded:", *(f"- {item.path} [{item.result}]" for item in executed)]
    if failed:
        lines += ["failed:", *(f"- {_failed_line(item)}" for item in failed)]
    return "\n".join(lines)


def _failed_line(item: SettledItem) -> str:
    number = "" if item.result is None else f" [{item.result}]"
    if item.failure is None:
        return f"{item.path}{number}: {item.reason}"
    where = "" if item.failure.cell is None else f"code cell {item.failure.cell}: "
    message = item.failure.message.strip().partition("\n")[0]
    return f"{item.path}{number}: {where}{item.failure.name}: {message}"
