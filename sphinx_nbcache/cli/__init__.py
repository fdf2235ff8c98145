"""The command line: the group of all commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from sphinx_nbcache import __version__
from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.cache_commands import cache_group as cache
from sphinx_nbcache.cli.groups import Group, kept
from sphinx_nbcache.cli.migrating import migrate
from sphinx_nbcache.cli.options import USUAL
from sphinx_nbcache.cli.project_commands import list_notebooks, show_notebook
from sphinx_nbcache.cli.project_commands import project_group as project
from sphinx_nbcache.cli.run_commands import execute, explain, plan, quickstart, report_command
from sphinx_nbcache.signals import Interrupted, SignalHandlers, write_line

__all__ = ["cache", "jcache", "main", "notebook", "project"]

PROGRAM = "sphinx-nbcache"
_LAST_STREAM = 2


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--version", is_flag=True, help="Show the version; with --verbose also what it works with."
)
@click.option("--print-path", is_flag=True, help="Show the folder of the store.")
@options.common
@click.pass_context
def jcache(ctx: click.Context, /, *, version: bool, print_path: bool) -> None:
    """Execute notebooks whose code, or anything it depended on, has changed; keep the results.

    Inside a Sphinx project that was built, this is the store of the build: what one has
    executed, the other does not execute again.
    """
    if version:
        _print_version()
        ctx.exit()
    if print_path:
        from sphinx_nbcache.cli.session import opened

        with opened() as found:
            click.echo(f"Cache path: {found.store.folder.parent}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _print_version() -> None:
    click.echo(f"{PROGRAM}, version {__version__}")
    if options.given().verbosity > USUAL:
        # Only with `-v`, so that `--version` works in any folder, and at once.
        from sphinx_nbcache.cli.about import about
        from sphinx_nbcache.cli.session import found_store_or_why_not

        click.echo(about(*found_store_or_why_not(), Path.cwd()))


# jupyter-cache 1.0 splits these commands between `jcache project` and `jcache notebook`; here each
# group has all of them.
notebook = project.called("notebook", help="The same as `project`.")

# The help lists commands in this order, the most common first.
jcache.add(execute)
jcache.add(list_notebooks)
jcache.add(plan)
jcache.add(show_notebook)
jcache.add(explain)
jcache.add(report_command)
jcache.add(project)
jcache.add(notebook)
jcache.add(cache)
jcache.add(quickstart)
jcache.add(migrate)


def main() -> None:
    """Run the command line of this process."""
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A program that calls this function may have replaced a stream by another class.
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            # Characters that an old code page cannot encode must not end the command.
            reconfigure(errors="replace")
    # Silent handlers: the code that catches `Interrupted` says what is kept.
    # Installed here and not in a command: programs that call a command as a function, such as
    # tests, keep their own handlers.
    handlers = SignalHandlers(lambda _words: None)
    handlers.install()
    try:
        jcache(prog_name=PROGRAM)
    except Interrupted as interrupt:
        write_line(f"{interrupt}: {kept(interrupt)}")
        raise


def _fill_closed_streams() -> None:
    """Connect the standard streams that the parent process has closed to the null device."""
    # `os.open` returns the lowest descriptor that is free. If it stayed free, a file or a socket
    # that is opened later would become the standard stream of this process and of its kernels.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STREAM:
        pass
    os.close(descriptor)
    # Such a stream is `None` (https://docs.python.org/3/library/sys.html#sys.__stdout__). click 8.5
    # shows errors on standard output instead of a missing standard error.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (until the end)
