"""The command line: `python -m sphinx_nbcache`, `sphinx-nbcache`.

This module imports only click and modules that need nothing else. Each command imports what it
needs when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sphinx_nbcache import __version__
from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.cache_commands import cache_group as cache
from sphinx_nbcache.cli.exits import kept
from sphinx_nbcache.cli.groups import Group
from sphinx_nbcache.cli.project_commands import list_notebooks, show
from sphinx_nbcache.cli.project_commands import project_group as project
from sphinx_nbcache.cli.quick_start import quickstart
from sphinx_nbcache.cli.run_commands import execute, explain, plan, report
from sphinx_nbcache.cli.verbosity import USUAL
from sphinx_nbcache.signals import Interrupted, SignalHandlers, write_line

__all__ = ["cache", "jcache", "main", "notebook", "project"]

PROGRAM = "sphinx-nbcache"


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
        from sphinx_nbcache.cli.about import about
        from sphinx_nbcache.cli.session import found_store_or_why_not

        click.echo(about(*found_store_or_why_not(), Path.cwd()))


notebook = project.called("notebook", help="The same as `project`.")

jcache.add(execute)
jcache.add(list_notebooks)
jcache.add(plan)
jcache.add(show)
jcache.add(explain)
jcache.add(report)
jcache.add(project)
jcache.add(notebook)
jcache.add(cache)
jcache.add(quickstart)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            # Characters that an old code page cannot encode must not end the command.
            reconfigure(errors="replace")
    # Silent handlers: the code that catches `Interrupted` says what is kept.
    handlers = SignalHandlers(lambda _words: None)
    handlers.install()
    try:
        jcache(prog_name=PROGRAM)
    except Interrupted as interrupt:
        write_line(f"{interrupt}: {kept(interrupt)}")
        raise
