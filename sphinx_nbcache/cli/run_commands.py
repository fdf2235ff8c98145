"""Commands that plan and execute: `execute`, `plan`, `explain`, `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.completion import executors_for
from sphinx_nbcache.cli.exits import Exit, Stopped
from sphinx_nbcache.cli.groups import Command
from sphinx_nbcache.cli.output import say, say_json, tell, width
from sphinx_nbcache.cli.session import as_references, opened
from sphinx_nbcache.cli.values import executor, seconds
from sphinx_nbcache.cli.verbosity import DEBUG

_NOTHING = (
    "there is no notebook to execute; name notebooks or a folder of them, such as"
    " `sphinx-nbcache execute .`"
)


@click.command(cls=Command)
@options.references
@click.option(
    "-e",
    "--executor",
    type=executor,
    shell_complete=executors_for,
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
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    metavar="N",
    help="How often a notebook that failed is run again.",
)
@click.option("-f", "--force/--no-force", help="Execute also what has a valid result.")
@click.option(
    "--check-reproducible",
    "compare",
    is_flag=True,
    help="Run what has a valid result once more, and show which outputs differ from the stored"
    " ones. Results in the store, and files that notebooks wrote, stay as they are. If outputs"
    " differ, the exit code is 1.",
)
@click.option(
    "--ci/--no-ci",
    default=None,
    help="Write annotations and the summary of the job for GitHub Actions. By default where"
    " GITHUB_ACTIONS is set, unless nbcache_ci says otherwise.",
)
@click.option("--show-traceback", is_flag=True, help="Print the traceback of each failure.")
@options.as_json
@options.common
@click.pass_context
def execute(
    ctx: click.Context,
    /,
    *,
    references: tuple[str, ...],
    as_json: bool,
    force: bool,
    compare: bool,
    **given: Any,
) -> None:
    """Execute what has no valid result.

    That is looked for in the whole project, or among the notebooks that are named; a folder
    stands for all notebooks below it. Notebooks that are not in the project yet are added to it.
    Where no Sphinx project was built, an executor that is named is used from then on.
    """
    show_traceback = given.pop("show_traceback")
    if force and compare:
        raise click.UsageError("--force leaves nothing with which outputs could be compared")
    with opened(**_options(given, force=force)) as project:
        from sphinx_nbcache.cli.executing import (
            execute_notebooks,
            named_notebooks,
            say_summary,
            tell_what_helps,
        )

        meant = named_notebooks(project, references)
        if given["executor"] is not None and meant:
            project.notebooks.choose_executor(given["executor"])
        summary = execute_notebooks(project, meant, compare=compare)
        if as_json:
            say_json(summary)
        elif meant:
            say_summary(summary, tracebacks=show_traceback)
        if not meant:
            raise Stopped(_NOTHING, Exit.NOTHING)
        if not show_traceback:
            tell_what_helps(project, summary)
        keeps = project.is_lasting
    differs = any(not item.same for item in summary.compared or ())
    if differs or any(item.failed for item in summary.notebooks):
        ctx.exit(Exit.FAILED)
    if not keeps:
        ctx.exit(Exit.STORE)


def _options(given: dict[str, Any], *, force: bool) -> dict[str, Any]:
    """Return the options of the project that were given by flags."""
    chosen = {name: value for name, value in given.items() if value is not None}
    if force:
        chosen["execute"] = "force"
    if "ci" in chosen:
        chosen["ci"] = "github" if chosen["ci"] else "off"
    return chosen


@click.command(cls=Command)
@options.references
@options.as_json
@options.common
def plan(*, references: tuple[str, ...], as_json: bool) -> None:
    """Show what would be executed, and why. Nothing is run."""
    with opened() as project:
        from sphinx_nbcache.cli.listing import notebook_list, plan_text

        listed = notebook_list(project, as_references(references))
        if as_json:
            say_json(listed)
        else:
            say(plan_text(listed, width()))


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
            say(explanation(details, every_fact=options.given().verbosity >= DEBUG))


@click.command(cls=Command)
@options.as_json
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the report as a page of its own, in one file.",
)
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the report as JUnit XML, which CI systems show as tests.",
)
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
@options.common
def report(*, as_json: bool, html: Path | None, junit: Path | None, opens: bool) -> None:
    """Show the state of all notebooks of the project. Nothing is run.

    Files are written in place of the table, unless --json is given as well.
    """
    with opened() as project:
        from sphinx_nbcache.cli import reporting
        from sphinx_nbcache.report.as_json import report_json
        from sphinx_nbcache.report.files import write_text
        from sphinx_nbcache.report.junit import report_junit

        made = reporting.present_report(project)
        if junit is not None:
            write_text(junit, report_junit(made))
            tell(f"Written: {junit}")
        if html is not None or opens:
            page = reporting.write_page(made, project, html)
            tell(f"Written: {page}")
            if opens and not reporting.show_page(page):
                tell("There is no browser to show it in")
        if as_json:
            say(report_json(made))
        elif html is None and junit is None and not opens:
            say(reporting.report_text(made, width()))
