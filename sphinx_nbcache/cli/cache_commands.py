"""Commands on the results in the store: the group `cache`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.groups import Command, Exit, Group
from sphinx_nbcache.cli.options import PATH, UNLIMITED, as_reference
from sphinx_nbcache.cli.output import (
    confirm,
    say,
    say_done,
    say_json,
    width,
)
from sphinx_nbcache.cli.session import opened, opened_to_change, some_or_all
from sphinx_nbcache.text import counted, one_line, size_or_dash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx_nbcache.project import Project

validate = click.option(
    "--validate/--no-validate",
    default=True,
    help="Check that the execution counts are those of a run from top to bottom.",
)


@click.command("list", cls=Command)
@click.option("--latest-only", is_flag=True, help="Show only the newest result of each notebook.")
@click.option("-k", "--hashkeys", is_flag=True, help="Show digests.")
@options.path_length
@options.as_json
@options.common
def list_results(
    *, latest_only: bool, hashkeys: bool, path_length: int | None, as_json: bool
) -> None:
    """List the results; the ones used last come first."""
    with opened() as project:
        from sphinx_nbcache.cli.details import result_list, results_text

        listed = result_list(project, latest_only=latest_only)
        if as_json:
            say_json(listed)
        else:
            say(results_text(listed, width(), path_length=path_length, hashkeys=hashkeys))


@click.command("show", cls=Command)
@options.reference
@click.option("--tb/--no-tb", "traceback", default=True, help="Show the traceback of a failure.")
@options.as_json
@options.common
def show_result(*, reference: str, traceback: bool, as_json: bool) -> None:
    """Show a result, and the statistics of its run."""
    with opened() as project:
        from sphinx_nbcache.cli.details import details_of_result, result_text

        details = details_of_result(project, reference)
        if as_json:
            from sphinx_nbcache.cli.documents import ResultDocument

            say_json(ResultDocument(result=details))
        else:
            say(result_text(details, traceback=traceback))


@click.command("add", cls=Command)
@options.paths
@validate
@options.as_json
@options.common
def add_results(*, paths: tuple[Path, ...], validate: bool, as_json: bool) -> None:
    """Add notebooks that were executed elsewhere.

    Where the execution counts are not those of a run from top to bottom, it is asked whether to
    add the notebook nevertheless; without an answer it is not added.
    """
    _add(paths, validate=validate, as_json=as_json)


@click.command("add-with-artifacts", cls=Command)
@click.argument("artifacts", nargs=-1, required=True, type=PATH, metavar="ARTIFACT...")
@click.option("-nb", "--nbpath", required=True, type=PATH, help="The notebook.")
@validate
@options.as_json
@options.common
def add_with_artifacts(
    *, artifacts: tuple[Path, ...], nbpath: Path, validate: bool, as_json: bool
) -> None:
    """Add an executed notebook, with files that it wrote."""
    _add([nbpath], validate=validate, artifacts=artifacts, as_json=as_json)


@click.command("artifact", cls=Command)
@options.reference
@click.argument("path")
@options.common
def artifact(*, reference: str, path: str) -> None:
    """Write an artifact to the standard output."""
    with opened() as project:
        # Read as a whole before anything is written: a damaged artifact must not end up half in a
        # pipe.
        content = project.results.artifact(project.results.get(as_reference(reference)), path)
    # click writes bytes to the binary stream, unchanged and without a line end
    # (https://click.palletsprojects.com/en/stable/api/#click.echo).
    click.echo(content, nl=False)


@click.command("diff", cls=Command)
@options.reference
@click.argument("path", type=PATH)
@options.common
def diff(*, reference: str, path: Path) -> None:
    """Compare the code of a result with a notebook."""
    with opened() as project:
        # click strips the colours if the output is not a terminal.
        text = project.diff(as_reference(reference), path, colour=True)
    say(text.rstrip() or "The code is the same.")


@click.command("remove", cls=Command)
@options.references
@click.option("-a", "--all", "everything", is_flag=True, help="All results.")
@options.force
@options.as_json
@options.common
def remove_results_named(
    *, references: tuple[str, ...], everything: bool, force: bool, as_json: bool
) -> None:
    """Remove results from the store."""
    # Before the store is opened: a wrong command line must not wait for a lock.
    wanted = some_or_all(references, everything=everything)
    with opened_to_change() as project:
        _remove(project, wanted, force=force, as_json=as_json)


@click.command("clear", cls=Command)
@options.force
@options.as_json
@options.common
def clear_results(*, force: bool, as_json: bool) -> None:
    """Remove all results from the store. The list of notebooks and the limits stay."""
    with opened_to_change() as project:
        _remove(project, None, force=force, as_json=as_json)


@click.command("limit", cls=Command)
@click.argument("count", required=False, type=options.count, metavar="[COUNT|none]")
@click.option("--size", type=options.size, metavar="SIZE|none", help="Such as 500MB or 2GiB.")
@options.as_json
@options.common
def limit(*, count: int | None, size: int | None, as_json: bool) -> None:
    """Show or change how much the store keeps.

    Where there is too much, what was not used for the longest time is removed first.
    """
    # A store that is read-only can still show its limits.
    is_change = count is not None or size is not None
    with opened_to_change() if is_change else opened() as project:
        limits = project.results.limits
        if is_change:
            project.results.set_limits(
                # None means that the option was not given, so "no limit" needs a value of its own.
                count=limits.count if count is None else _limit(count),
                size=limits.size if size is None else _limit(size),
            )
            limits = project.results.limits
        if as_json:
            from sphinx_nbcache.cli.documents import Limits

            say_json(Limits(count=limits.count, size=limits.size))
            return
    changed = "Cache limit changed! " if is_change else ""
    most = "none" if limits.count is None else counted(limits.count, "result")
    largest = "none" if limits.size is None else size_or_dash(limits.size)
    say(f"{changed}Current cache limit: {most}; of size: {largest}")


@click.command("check", cls=Command)
@click.option("--fix", is_flag=True, help="Remove damaged entries.")
@options.as_json
@options.common
@click.pass_context
def check(ctx: click.Context, /, *, fix: bool, as_json: bool) -> None:
    """Look through the whole store for damage."""
    with opened() as project:
        findings = project.results.check(fix=fix)
        if as_json:
            from sphinx_nbcache.cli.documents import FindingItem, StoreCheck

            items = (FindingItem(key=f.key, what=f.what, fixed=f.fixed) for f in findings)
            say_json(StoreCheck(findings=tuple(items)))
        else:
            for finding in findings:
                fixed = " (taken out)" if finding.fixed else ""
                # Keys of a foreign store may contain line breaks and escape sequences.
                say(one_line(f"{finding.key}: {finding.what}{fixed}"))
            say(_check_summary(len(findings), fix=fix))
    # Outside of `opened`, which closes the store, and reports one that cannot be read.
    if any(not finding.fixed for finding in findings):
        ctx.exit(Exit.STORE)


@click.command("import-jupyter-cache", cls=Command)
@click.argument("folder", required=False, metavar="[DIR]", type=options.FOLDER)
@options.as_json
@options.common
@click.pass_context
def import_jupyter_cache(ctx: click.Context, /, *, folder: Path | None, as_json: bool) -> None:
    """Add the results of jupyter-cache for the present code of notebooks.

    By default they are looked for in the folder of the store. Files of jupyter-cache are only read.
    """
    with opened_to_change() as project:
        from sphinx_nbcache.cli.adding import say_imported

        imported = project.import_jupyter_cache(folder)
        say_imported(imported, as_json=as_json)
    if imported.unreadable:
        ctx.exit(Exit.USAGE)


@click.command("export", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--only-used", is_flag=True, help="Leave out what `cache prune` would remove.")
@options.as_json
@options.common
def export_results(*, file: Path, only_used: bool, as_json: bool) -> None:
    """Write the results into an archive, for `cache import` on another machine.

    Results that only this machine could reuse stay, and so do those that would tell its secrets
    or its paths.
    """
    with opened() as project:
        from sphinx_nbcache.cli.adding import say_exported

        say_exported(project.results.export(file, only_used=only_used), file, as_json=as_json)


@click.command("import", cls=Command)
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@options.as_json
@options.common
def import_results(*, files: tuple[Path, ...], as_json: bool) -> None:
    """Add the results of archives that `cache export` wrote.

    Where one of them is damaged or not safe, nothing is added.
    """
    with opened_to_change() as project:
        from sphinx_nbcache.cli.adding import say_taken_in

        say_taken_in(project.results.import_archives(files), as_json=as_json)


@click.command("prune", cls=Command)
@options.as_json
@options.common
def prune(*, as_json: bool) -> None:
    """Remove the results that no notebook of the project uses."""
    with opened_to_change() as project:
        from sphinx_nbcache.cli.adding import say_removed

        say_removed(project.results.prune(), as_json=as_json)


def _add(
    paths: Sequence[Path], *, validate: bool, artifacts: Sequence[Path] = (), as_json: bool
) -> None:
    with opened_to_change() as project:
        from sphinx_nbcache.cli.adding import add_executed

        done = add_executed(project, paths, validate=validate, artifacts=artifacts, quietly=as_json)
    if as_json:
        say_json(done)
    if done.refused:
        # After the JSON, which names those that were refused.
        click.get_current_context().exit(Exit.USAGE)
    if not as_json:
        say_done("Success!")


def _remove(
    project: Project, references: Sequence[int | str | Path] | None, *, force: bool, as_json: bool
) -> None:
    from sphinx_nbcache.cli.adding import say_removed

    if references is None:
        confirm("Remove all results from the store?", force=force)
        removed = project.results.clear()
    else:
        removed = project.results.remove(references)
    say_removed(removed, as_json=as_json)


def _limit(value: int) -> int | None:
    return None if value == UNLIMITED else value


def _check_summary(findings: int, *, fix: bool) -> str:
    if not findings:
        return "The store is whole."
    return f"{findings} damaged" + ("" if fix else "; --fix takes it out")


@click.group("cache", cls=Group)
@options.common
def cache_group() -> None:
    """Commands on the results in the store."""


cache_group.add(list_results)
# The second names are those of jupyter-cache
# (https://jupyter-cache.readthedocs.io/en/latest/using/cli.html), so that its users' scripts go on
# working.
cache_group.add(show_result, "info")
cache_group.add(add_results)
cache_group.add(import_jupyter_cache)
cache_group.add(add_with_artifacts, "add-with-artefacts")
cache_group.add(artifact, "cat-artifact", "cat-artefact")
cache_group.add(diff)
cache_group.add(remove_results_named)
cache_group.add(clear_results)
cache_group.add(limit)
cache_group.add(check)
cache_group.add(prune)
cache_group.add(export_results)
cache_group.add(import_results)
