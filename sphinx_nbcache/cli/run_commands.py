"""Commands that plan and execute: `execute`, `plan`, `explain`, `report`, `quickstart`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import click

from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.groups import Command, Exit, Stopped
from sphinx_nbcache.cli.options import DEBUG
from sphinx_nbcache.cli.output import say, say_json, tell, width
from sphinx_nbcache.cli.session import as_references, opened

# The book is a part of the package, next to which Python and editors leave files.
_SUFFIXES = (".txt", ".md", ".ipynb")
_FILES = Path(__file__).with_name("sample_book")
_NOTHING = (
    "there is no notebook to execute; name notebooks or a folder of them, such as"
    " `sphinx-nbcache execute .`"
)


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@options.common
def quickstart(*, folder: Path) -> None:
    """Write a small book with two notebooks into a new folder, to try everything on.

    One of the notebooks fails. An existing folder must be empty.
    """
    try:
        # An existing, empty folder is fine: it may be a new repository's, or made by `mktemp -d`.
        if folder.is_dir() and any(folder.iterdir()):
            raise Stopped(f"{folder} is not empty; name a new folder", Exit.USAGE)
        written = _copied(folder)
    except OSError as error:
        raise Stopped(f"{folder} cannot be written: {error.strerror}", Exit.USAGE) from None
    for path in written:
        say(f"Written: {path}")
    change = shlex.join(["cd", os.fspath(folder)])
    tell(f"Go there with `{change}`, and build the book: sphinx-build -b html . _build/html")


def _copied(folder: Path) -> list[Path]:
    written = []
    for source in sorted(_FILES.rglob("*.*"), key=os.fspath):
        if source.suffix not in _SUFFIXES:
            continue  # bytecode, perhaps
        # `conf.py.txt`: a module of the package would be imported, checked and compiled.
        path = folder / str(source.relative_to(_FILES)).removesuffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Exclusive: a file that appeared since the check is not overwritten
        # (https://docs.python.org/3/library/functions.html#open).
        with path.open("xb") as file:
            file.write(source.read_bytes())
        written.append(path)
    return written


@click.command(cls=Command)
@options.references
@options.of_project
@click.option("-f", "--force/--no-force", help="Execute also what has a valid result.")
@click.option(
    "--check-reproducible",
    "compare",
    is_flag=True,
    help="Run what has a valid result once more, and show which outputs differ from the stored"
    " ones. Results in the store, and files that notebooks wrote, stay as they are. If outputs"
    " differ, the exit code is 1.",
)
@click.option("--show-traceback", is_flag=True, help="Print the traceback of each failure.")
@options.as_json
@options.common
@click.pass_context
def execute(  # noqa: PLR0913 (its flags)
    ctx: click.Context,
    /,
    *,
    references: tuple[str, ...],
    as_json: bool,
    force: bool,
    compare: bool,
    show_traceback: bool,
    **given: Any,
) -> None:
    """Execute what has no valid result.

    That is looked for in the whole project, or among the notebooks that are named; a folder
    stands for all notebooks below it. Notebooks that are not in the project yet are added to it.
    Where no Sphinx project was built, an executor that is named is used from then on.
    """
    if force and compare:
        raise click.UsageError("--force leaves nothing with which outputs could be compared")
    chosen = options.given_to_project(given)
    if force:
        chosen["execute"] = "force"
    with opened(**chosen) as project:
        from sphinx_nbcache.cli.executing import (
            execute_notebooks,
            named_notebooks,
            say_summary,
            tell_what_helps,
        )

        meant = named_notebooks(project, references)
        if given["executor"] is not None and meant:
            project.notebooks.choose_executor(given["executor"])
        # Also for an empty project: `--json` has to write a document in any case.
        summary = execute_notebooks(project, meant, compare=compare)
        if as_json:
            say_json(summary)
        elif meant:
            say_summary(summary, tracebacks=show_traceback)
        # After the document.
        if not meant:
            raise Stopped(_NOTHING, Exit.NOTHING)
        if not show_traceback:
            tell_what_helps(project, summary)
        # Asked while the project is open.
        keeps = project.is_lasting
    differs = any(not item.same for item in summary.compared or ())
    if differs or any(item.failed for item in summary.notebooks):
        ctx.exit(Exit.FAILED)
    # A failed notebook counts more than a store that keeps nothing, so this is last.
    if not keeps:
        ctx.exit(Exit.STORE)


@click.command(cls=Command)
@options.references
@options.as_json
@options.common
def plan(*, references: tuple[str, ...], as_json: bool) -> None:
    """Show what would be executed, and why. Nothing is run."""
    with opened() as project:
        from sphinx_nbcache.cli.details import notebook_list, plan_text

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
def report_command(*, as_json: bool, html: Path | None, junit: Path | None, opens: bool) -> None:
    """Show the state of all notebooks of the project. Nothing is run.

    Files are written in place of the table, unless --json is given as well.
    """
    with opened() as project:
        from sphinx_nbcache.cli.details import present_report, report_text, show_page, write_page
        from sphinx_nbcache.report.as_json import report_json
        from sphinx_nbcache.report.ci import report_junit
        from sphinx_nbcache.report.side_files import write_text

        made = present_report(project)
        if junit is not None:
            write_text(junit, report_junit(made))
            tell(f"Written: {junit}")
        if html is not None or opens:
            page = write_page(made, project, html)
            tell(f"Written: {page}")
            if opens and not show_page(page):
                tell("There is no browser to show it in")
        if as_json:
            say(report_json(made))
        elif html is None and junit is None and not opens:
            say(report_text(made, width()))
